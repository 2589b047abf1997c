# SPDX-License-Identifier: MIT
#
# The targets for people. Each does its own set-up: what is missing is installed or fetched, once.

KERNEL ?= 6.12
STAGES ?= go race ring modules vm

help:
	@echo "In a virtual machine; nothing is loaded on this one:"
	@echo "  make demo              boot, load the module, answer 100,000 pings, count system calls"
	@echo "  make demo-vpn          WireGuard between two namespaces, by wireguard-go over stock tun and over mytun: table and build/demo-vpn.json"
	@echo "  make shell             a shell in that machine, with the module loaded"
	@echo "  make test              all tests: Go, the ring, the module on three kernels; STAGES='vm kasan-short' does these instead"
	@echo "  make test-all          whatever there is to test: all selftests on every kernel, the debug kernels, PREEMPT_RT, the packages"
	@echo "  make test-go test-race test-ring test-modules test-vm   one stage; TESTS='abi hostile' chooses among the last"
	@echo "  make demo ARCH=arm64   on an emulated arm64 machine, with 6.12; shell and test-vm know ARCH too"
	@echo "  make test-litmus       the barriers of the ring and of its sleepers, in all that the memory models of the kernel and of processors allow"
	@echo "  make test-debug        the selftests on two debug kernels, built from Debian's source: test-kasan (memory, locks, leaks), test-kcsan (data races)"
	@echo "  make test-kasan-short  of test-kasan the suites about hostile processes and failing memory"
	@echo "  make test-rt           the selftests on Debian's PREEMPT_RT kernel"
	@echo "  make test-package      the Debian packages installed, upgraded and removed in Debian 12 and 13, and their modules booted"
	@echo "  make test-host         'make bench HOST=1' in a whole Debian that plays somebody's machine, and on ones that lack something"
	@echo "  make fuzz              programs made up to do harm, on the KASAN kernel: FUZZ_SECONDS=120 FUZZ_SEED=1 FUZZ_KERNEL=6.12-kasan; FUZZ_REPLAY=FILE runs one again"
	@echo "  make fuzz-conform      of it the second part: random calls on mytun's node and on stock tun's, compared; FUZZ_ONLY=NUMBER makes one alone"
	@echo "  make soak              both directions, processes killed, queues and rings changed, all frames checked: SOAK_MINUTES=10 SOAK_SEED=1"
	@echo "  make fuzz-go           the Go packages' fuzz targets, FUZZ_SECONDS (120) each; TESTS=PATTERN chooses"
	@echo "  make lint              gofmt, go vet, staticcheck, sparse, checkpatch, shellcheck"
	@echo "  make vulncheck         govulncheck on each Go module, with the day's database of known vulnerabilities"
	@echo "    KERNEL=6.12|6.1|7.3  which kernel demo and shell boot; KERNELS='6.12' limits the tests, or has others: '7.2'"
	@echo "  make bench             every way to be an interface at every workload: table and build/bench.json; HOST=1: on this machine, root;"
	@echo "                         WORKLOADS='rx:64,tx' PEERS='tun,mytun' ROUNDS=1 choose"
	@echo "  make bench-quick       instructions a packet of stock tun and mytun, two minutes: build/bench-quick.json"
	@echo "  make bench-check       fail if an instruction count got worse than bench/baseline.json by over 3 %"
	@echo "  make bench-native      nanoseconds a packet on this machine's processor: mytun, stock tun and vhost-net in a User-mode Linux, which the first run builds;"
	@echo "                         AGAINST=DIR: two kmod directories (KMOD, this one's, and DIR) in turn; ROWS='rx*:64' CPUS=2 choose"
	@echo "  make bench-native-doc  its table into docs/performance.md, from build/bench-native.json"
	@echo "  make bench-plot bench-doc   bar charts; charts and table into docs/performance.md, both from build/bench.json"
	@echo "  make bench-baseline    make what bench-check measured the baseline"
	@echo "On this machine, for its own kernel (root):"
	@echo "  make install load      build and install the module, and load it;  make unload uninstall  the reverse"
	@echo "  make modules           build it only"
	@echo "  make tools             build mytunstat, the live view of devices: build/tools/;  make install-tools uninstall-tools  for all users (root)"
	@echo "To give away:"
	@echo "  make deb               Debian packages mytun-dkms, mytun-dev and mytun-tools: build/deb/"
	@echo "  make dist              the sources of HEAD as an archive, with a checksum: build/dist/"
	@echo "Tidying up:"
	@echo "  make clean             remove build/"
	@echo "  make distclean         remove the fetched kernels in ~/.cache/mytun too"

# The run-time checkers are for the tests; they would cost the demo a third of its speed.
demo:
	@test/vm/run.sh --kernel $(KERNEL) --timeout 300 --fast test/vm/demo.sh

demo-vpn:
	@KERNEL=$(KERNEL) scripts/bench.sh --vpn

shell:
	@test/vm/run.sh --kernel $(KERNEL) --shell

test:
	@KERNELS="$(KERNELS)" TESTS="$(TESTS)" scripts/run-tests.sh $(STAGES)

test-all:
	@EVERYWHERE=yes KERNELS="$(KERNELS)" scripts/run-tests.sh lint bench go race ring litmus builds vm kasan kcsan rt package host

test-go test-race test-ring test-modules test-vm:
	@KERNELS="$(KERNELS)" TESTS="$(TESTS)" scripts/run-tests.sh $(@:test-%=%)

# The first run builds the kernel, or makes the systems to install in, or fetches herd7.
test-kasan test-kasan-short test-kcsan test-rt test-package test-host test-litmus:
	@TESTS="$(TESTS)" scripts/run-tests.sh $(@:test-%=%)

test-debug:
	@TESTS="$(TESTS)" scripts/run-tests.sh kasan kcsan

# What fails becomes a regression test: commit what it leaves in testdata/fuzz/.
fuzz-go:
	@scripts/fuzz-go.sh "$(TESTS)"

fuzz:
	@test/fuzz/fuzz.sh
	@[ -n "$(FUZZ_REPLAY)" ] || test/conform/fuzz.sh

fuzz-conform:
	@test/conform/fuzz.sh

soak:
	@KERNEL=$(KERNEL) test/soak/soak.sh

lint:
	@KERNELS="$(KERNELS)" scripts/lint.sh

vulncheck:
	@scripts/vulncheck.sh

# The program that shows rows is built on each use: it must be as new as its source.
BENCH_REPORT = scripts/go.sh build -C bench -o ../build/bench-report ./cmd/bench-report && build/bench-report
BENCH_MEASURED = -program build/guest/mytun-bench -module build/kmod-$(KERNEL)/mytun.ko

bench:
	@KERNEL=$(KERNEL) scripts/bench.sh $(if $(HOST),--host) $(if $(WORKLOADS),-workloads "$(WORKLOADS)") $(if $(PEERS),-peers "$(PEERS)") $(if $(ROUNDS),-rounds $(ROUNDS))

bench-quick:
	@KERNEL=$(KERNEL) scripts/bench.sh --quick

bench-native-doc:
	@$(BENCH_REPORT) native-doc build/bench-native.json docs/performance.md

bench-native:
	@KMOD="$(KMOD)" AGAINST="$(AGAINST)" scripts/bench-native.sh $(if $(ROWS),-rows "$(ROWS)") $(if $(CPUS),-cpus $(CPUS))

bench-plot:
	@$(BENCH_REPORT) plot build/bench.json docs/performance

bench-doc:
	@$(BENCH_REPORT) doc build/bench.json docs/performance.md docs/performance

bench-check: bench-quick
	@$(BENCH_REPORT) check -baseline bench/baseline.json $(BENCH_MEASURED) build/bench-quick.json

bench-baseline:
	@$(BENCH_REPORT) baseline -o bench/baseline.json $(BENCH_MEASURED) build/bench-quick.json

modules install uninstall:
	@$(MAKE) --no-print-directory -C kmod $@

PREFIX ?= /usr/local

tools:
	@CGO_ENABLED=0 scripts/go.sh build -C cmd/mytunstat -trimpath -o ../../build/tools/mytunstat .

# Built before by an ordinary user, root needs no Go.
install-tools:
	@[ -x build/tools/mytunstat ] || $(MAKE) --no-print-directory tools
	install -D -m 755 build/tools/mytunstat $(DESTDIR)$(PREFIX)/bin/mytunstat
	install -D -m 644 docs/mytunstat.8 $(DESTDIR)$(PREFIX)/share/man/man8/mytunstat.8

uninstall-tools:
	rm -f $(DESTDIR)$(PREFIX)/bin/mytunstat $(DESTDIR)$(PREFIX)/share/man/man8/mytunstat.8

deb:
	@scripts/build-deb.sh

dist:
	@scripts/dist.sh

load:
	@kmod/load.sh

unload:
	modprobe -r mytun

clean:
	rm -rf build

distclean: clean
	cd "$${MYTUN_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/mytun}" 2>/dev/null || exit 0; rm -rf kernels roots apt qemu qemu-arm64 programs debug native checkpatch memory-model go kvm-* *.new .lock-*

.PHONY: help demo demo-vpn shell test test-all test-go test-race test-ring test-modules test-vm test-litmus test-debug test-kasan test-kasan-short test-kcsan test-rt test-package test-host fuzz fuzz-conform fuzz-go soak lint vulncheck bench bench-quick bench-native bench-native-doc bench-plot bench-doc bench-check bench-baseline modules install uninstall tools install-tools uninstall-tools deb dist load unload clean distclean
