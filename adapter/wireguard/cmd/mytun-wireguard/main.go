// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() { os.Exit(exitStatus(run(os.Args[1:]))) }

// exitStatus tells the user about err, if nobody has yet.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		return 2
	case !errors.Is(err, errSaid):
		fmt.Fprintln(os.Stderr, "mytun-wireguard:", err)
	}
	return 1
}

func run(args []string) error {
	o, err := parse(args, os.Getenv)
	switch {
	case err != nil:
		return err
	case o.version:
		fmt.Println(version(debug.ReadBuildInfo()))
		return nil
	}
	files, err := findFiles()
	if err != nil {
		return err
	}
	if !o.foreground {
		child, err := itself(o, files)
		if err != nil {
			return err
		}
		return background(child)
	}
	w, err := findWaiter()
	if err != nil {
		return err
	}
	// From here on a signal ends the tunnel in good order; a second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return serve(ctx, o, files, w)
}

// version names the program and the WireGuard in it.
func version(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "mytun-wireguard, built without information about its modules"
	}
	for _, module := range info.Deps {
		if module.Path == "golang.zx2c4.com/wireguard" {
			return fmt.Sprintf("mytun-wireguard %s, with wireguard-go %s", info.Main.Version, module.Version)
		}
	}
	return "mytun-wireguard " + info.Main.Version
}
