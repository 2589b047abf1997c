// SPDX-License-Identifier: MIT

package exported

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFunctions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go":       "package a\ntype T struct{}\nfunc (t *T) M() {}\nfunc (T) m() {}\nfunc F() {}\nfunc f() {}\n",
		"b_other.go": "package a\nfunc F() {}\ntype u int\nfunc (u) M() {}\nfunc (t T) N() {}\n",
		"a_test.go":  "package a\nfunc TestF() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Functions(dir)
	if want := []string{"F", "T.M", "T.N"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
