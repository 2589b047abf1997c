// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// loadCorpus reads the programs in directories, in the order of their names. A
// directory that is not there has none.
func loadCorpus(directories ...string) (corpus []Program, err error) {
	for _, dir := range directories {
		files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil {
			return nil, err
		}
		slices.Sort(files)
		for _, file := range files {
			p, err := loadProgram(file)
			if err != nil {
				return nil, err
			}
			corpus = append(corpus, p)
		}
	}
	return corpus, nil
}

// loadProgram reads a program, which has to do something.
func loadProgram(path string) (Program, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := Parse(strings.NewReader(string(text)))
	if err == nil && len(p) == 0 {
		err = fmt.Errorf("there is no operation in it")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
