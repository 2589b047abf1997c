// SPDX-License-Identifier: MIT

package tunbpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// maxQueue is the highest queue that a result can name.
const maxQueue = 1<<16 - 1

// A CPUSteering chooses a frame's queue by the CPU that the stack sends it on: the
// one where a local sender runs, or, if the frame is forwarded, the one that
// received it. Where queue n is served on CPU n, a frame then stays on its CPU. But
// a sender that moves to another CPU takes its flow to another queue, and frames
// of it may overtake each other. Its methods are safe for concurrent use.
type CPUSteering struct {
	program *ebpf.Program
	cpus    int
	guard   guard     // of the map
	queues  *ebpf.Map // of CPU to queue
}

// NewCPUSteering loads the program. At first CPU n has queue n, modulo the number
// of queues.
func NewCPUSteering() (*CPUSteering, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("tunbpf: number of CPUs: %w", err)
	}
	s := &CPUSteering{cpus: cpus}
	if err := s.load(); err != nil {
		s.release()
		return nil, err
	}
	s.guard.open = true
	return s, nil
}

func (s *CPUSteering) load() (err error) {
	s.queues, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "tun_cpu_queue", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(s.cpus),
	})
	if err != nil {
		return loadError("make the map of CPUs", err)
	}
	for cpu := range s.cpus {
		if err := s.set(cpu, cpu); err != nil {
			return err
		}
	}
	s.program, err = assembleCPU(s.queues).program("tun_cpu")
	return err
}

// assembleCPU assembles, in C:
//
//	u32 cpu = bpf_get_smp_processor_id();
//	u32 *queue = bpf_map_lookup_elem(&queues, &cpu);
//	return queue ? *queue : 0;
func assembleCPU(queues *ebpf.Map) *assembler {
	const key = -4
	a := &assembler{}
	a.add(
		asm.FnGetSmpProcessorId.Call(),
		asm.StoreMem(asm.RFP, key, asm.R0, asm.Word),
	)
	a.lookUp(queues, key)
	a.add(
		asm.JEq.Imm(asm.R0, 0, "none"),
		asm.LoadMem(asm.R0, asm.R0, 0, asm.Word),
		asm.Return(),
	)
	a.mark("none")
	a.end(0)
	return a
}

// Program is what AttachSteering takes. It is closed by Close; of the zero value it
// is nil.
func (s *CPUSteering) Program() *ebpf.Program {
	if s == nil {
		return nil
	}
	return s.program
}

// CPUs is how many CPUs there can be. They are numbered from 0.
func (s *CPUSteering) CPUs() int {
	if s == nil {
		return 0
	}
	return s.cpus
}

// Set makes frames that are sent on a CPU go to a queue, from 0 to 65535. A queue
// that the device does not have is taken modulo the number of those it has. Frames
// that are sent after Set returned go there.
func (s *CPUSteering) Set(cpu, queue int) error {
	if err := s.enter(cpu); err != nil {
		return err
	}
	defer s.guard.leave()
	return s.set(cpu, queue)
}

func (s *CPUSteering) set(cpu, queue int) error {
	if queue < 0 || queue > maxQueue {
		return fmt.Errorf("tunbpf: queue %d of CPU %d is not in 0..%d", queue, cpu, maxQueue)
	}
	if err := s.queues.Put(uint32(cpu), uint32(queue)); err != nil {
		return fmt.Errorf("tunbpf: set the queue of CPU %d: %w", cpu, err)
	}
	return nil
}

// Queue is what Set set for a CPU.
func (s *CPUSteering) Queue(cpu int) (int, error) {
	if err := s.enter(cpu); err != nil {
		return 0, err
	}
	defer s.guard.leave()
	var queue uint32
	if err := s.queues.Lookup(uint32(cpu), &queue); err != nil {
		return 0, fmt.Errorf("tunbpf: get the queue of CPU %d: %w", cpu, err)
	}
	return int(queue), nil
}

// enter checks the CPU as well, and allows for nil.
func (s *CPUSteering) enter(cpu int) error {
	if s == nil {
		return errClosed
	}
	if s.cpus > 0 && (cpu < 0 || cpu >= s.cpus) {
		return fmt.Errorf("tunbpf: CPU %d is not in 0..%d, those that this machine can have", cpu, s.cpus-1)
	}
	return s.guard.enter()
}

// Close frees the program and the map, unless a device still has the program. Set
// and Queue then fail with an error that wraps [os.ErrClosed]; a second Close does
// nothing.
func (s *CPUSteering) Close() error {
	if s.enter(0) != nil {
		return nil
	}
	defer s.guard.leave()
	s.guard.open = false
	return s.release()
}

func (s *CPUSteering) release() error {
	return errors.Join(s.program.Close(), s.queues.Close())
}
