// SPDX-License-Identifier: MIT

package report

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// object returns the least that is an object file: a header, the names of its sections, and one section with that name and content.
func object(t *testing.T, name, content string) string {
	t.Helper()
	const headerSize, sectionSize = 64, 64
	names := "\x00" + name + "\x00.shstrtab\x00"
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: headerSize,
		Shoff: uint64(headerSize + len(names) + len(content)), Shentsize: sectionSize, Shnum: 3, Shstrndx: 2,
	}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: uint64(headerSize + len(names)), Size: uint64(len(content))},
		{Name: uint32(2 + len(name)), Type: uint32(elf.SHT_STRTAB), Off: headerSize, Size: uint64(len(names))},
	}
	var b bytes.Buffer
	for _, part := range []any{header, []byte(names), []byte(content), sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "module.ko")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadEnvironmentOfModule(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	module := object(t, ".comment", "\x00GCC: (Debian 12.2.0-14) 12.2.0\x00GCC: (Debian 12.2.0-14) 12.2.0\x00")
	environment, err := ReadEnvironment(self, module)
	if err != nil {
		t.Fatal(err)
	}
	if environment.Compiler != "GCC: (Debian 12.2.0-14) 12.2.0" || !strings.Contains(environment.Go, "go") {
		t.Errorf("the environment is %+v", environment)
	}
}

func TestReadEnvironmentWithoutCompiler(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string]string{
		"another section": object(t, ".text", "code"),
		"an empty one":    object(t, ".comment", "\x00\x00"),
	} {
		if _, err := ReadEnvironment(self, module); !errors.Is(err, errNoCompiler) || !strings.Contains(err.Error(), module) {
			t.Errorf("%s: the error is %v; it must name the file and be %v", name, err, errNoCompiler)
		}
	}
}
