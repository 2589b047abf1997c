// SPDX-License-Identifier: MIT

// Package exported lists what a package exports, so that a test of all of it can tell
// that it lacks something.
package exported

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// Functions returns the exported functions and the exported methods of exported types
// in a directory, on any system: sorted, as in "Open" and "Queue.Run".
func Functions(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() {
				names = append(names, qualified(f)...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// qualified returns the name with its receiver's, or nothing if that is not exported.
func qualified(f *ast.FuncDecl) []string {
	if f.Recv == nil {
		return []string{f.Name.Name}
	}
	receiver := f.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if base, ok := receiver.(*ast.Ident); ok && base.IsExported() {
		return []string{base.Name + "." + f.Name.Name}
	}
	return nil
}
