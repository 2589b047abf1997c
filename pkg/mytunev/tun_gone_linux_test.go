// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTunGoneIsForWhoSendsThere: who waits for one queue gives up the ring of another. That its
// device is gone is no failure of the wait, but of what is sent there next.
func TestTunGoneIsForWhoSendsThere(t *testing.T) {
	waited, _ := newFakeTun(t, 0, tunRingMin)
	gone, k := newFakeTun(t, 0, tunRingMin)
	k.fail = func(write bool, _ []byte) error {
		if write {
			return unix.EBADFD
		}
		return nil
	}
	waited.SetReadDeadline(time.Now().Add(time.Millisecond))
	err := gone.SendBatch(func(tx *Tx) error {
		if err := tx.Send([]byte{1}); err != nil {
			t.Errorf("Send before anybody knows: %v", err)
		}
		if _, err := waited.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read of another queue: %v, want its deadline", err)
		}
		if n := k.writes.Load(); n != 1 {
			t.Errorf("%d writes before the wait, want 1", n)
		}
		return tx.Send([]byte{2})
	})
	if err != ErrDetached {
		t.Errorf("%v, want ErrDetached", err)
	}
	if err := waited.Send([]byte{3}); err != nil {
		t.Errorf("the other queue: %v", err)
	}
}

// TestMemoryFile: it has the seal, where the kernel knows that; other errors are told.
func TestMemoryFile(t *testing.T) {
	for name, c := range map[string]struct {
		errors []error // of one attempt after the other
		want   []int   // flags of them
	}{
		"a kernel that knows it":  {[]error{nil}, []int{unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL}},
		"one that does not":       {[]error{unix.EINVAL, nil}, []int{unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL, unix.MFD_CLOEXEC}},
		"one without memory":      {[]error{unix.ENOMEM}, []int{unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL}},
		"one that has no memfd":   {[]error{unix.ENOSYS}, []int{unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL}},
		"an old one, and refuses": {[]error{unix.EINVAL, unix.EPERM}, []int{unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL, unix.MFD_CLOEXEC}},
	} {
		var flags []int
		fd, err := memoryFile(func(_ string, f int) (int, error) {
			flags = append(flags, f)
			return 40 + len(flags), c.errors[len(flags)-1]
		})
		last := len(c.errors) - 1
		if !slices.Equal(flags, c.want) || err != c.errors[last] || err == nil && fd != 40+len(c.errors) {
			t.Errorf("%s: flags %#x, descriptor %d, %v", name, flags, fd, err)
		}
	}
}

// TestMemoryFileIsSealed by this kernel, if it is of 6.3 or newer.
func TestMemoryFileIsSealed(t *testing.T) {
	const sealExec = 0x20 // F_SEAL_EXEC
	fd, err := memoryFile(unix.MemfdCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	probe, err := unix.MemfdCreate("probe", unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		t.Skip("a kernel before 6.3")
	}
	unix.Close(probe)
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&sealExec == 0 {
		t.Errorf("seals %#x, %v, want F_SEAL_EXEC", seals, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&0o111 != 0 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
}
