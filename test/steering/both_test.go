// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"os"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"
)

// backendVariable chooses the library's backend, whatever a Config says.
const backendVariable = "MYTUN_BACKEND"

// onBoth runs a test over mytun and over stock tun, as subtests that are named so.
func onBoth(t *testing.T, test func(t *testing.T)) {
	for _, b := range []mytunev.Backend{mytunev.BackendMytun, mytunev.BackendTun} {
		t.Run(b.String(), func(t *testing.T) {
			if b == mytunev.BackendTun {
				device.LoadStockTun(t)
			}
			t.Setenv(backendVariable, b.String())
			test(t)
		})
	}
}

// onTun reports whether the device is stock tun's.
func onTun() bool { return os.Getenv(backendVariable) == mytunev.BackendTun.String() }

func TestProgramNamesTheQueue(t *testing.T) { onBoth(t, testProgramNamesTheQueue) }

func TestDetachBringsTheHashBack(t *testing.T) { onBoth(t, testDetachBringsTheHashBack) }

func TestOtherTypesAreRefused(t *testing.T) { onBoth(t, testOtherTypesAreRefused) }

func TestFramesBeginAsTheProcessSeesThem(t *testing.T) {
	onBoth(t, testFramesBeginAsTheProcessSeesThem)
}

func TestOneQueueIsNotSteered(t *testing.T) { onBoth(t, testOneQueueIsNotSteered) }

func TestQueuesThatAreClosed(t *testing.T) { onBoth(t, testQueuesThatAreClosed) }

func TestFlowsOfATunnelAreSpread(t *testing.T) { onBoth(t, testFlowsOfATunnelAreSpread) }

func TestSendersGoByTheirCPU(t *testing.T) { onBoth(t, testSendersGoByTheirCPU) }

func TestCPUsChangeUnderTraffic(t *testing.T) { onBoth(t, testCPUsChangeUnderTraffic) }

func TestFilterKeepsDropsAndCuts(t *testing.T) { onBoth(t, testFilterKeepsDropsAndCuts) }

func TestPrefixFilterDropsNothingElse(t *testing.T) { onBoth(t, testPrefixFilterDropsNothingElse) }

func TestTaggedFrames(t *testing.T) { onBoth(t, testTaggedFrames) }

func TestPrefixesChangeUnderTraffic(t *testing.T) { onBoth(t, testPrefixesChangeUnderTraffic) }

func TestProgramsOutliveTheirHandles(t *testing.T) { onBoth(t, testProgramsOutliveTheirHandles) }

func TestDeviceThatIsGone(t *testing.T) { onBoth(t, testDeviceThatIsGone) }

func TestPersistentDeviceKeepsItsPrograms(t *testing.T) {
	onBoth(t, testPersistentDeviceKeepsItsPrograms)
}

func TestProgramsComeAndGoUnderTraffic(t *testing.T) { onBoth(t, testProgramsComeAndGoUnderTraffic) }
