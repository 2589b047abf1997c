// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"os"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"
)

// onTun reports whether the device is stock tun's.
func onTun() bool { return os.Getenv(device.BackendVariable) == mytunev.BackendTun.String() }

func TestProgramNamesTheQueue(t *testing.T) { device.OnBothBackends(t, testProgramNamesTheQueue) }

func TestDetachBringsTheHashBack(t *testing.T) { device.OnBothBackends(t, testDetachBringsTheHashBack) }

func TestOtherTypesAreRefused(t *testing.T) { device.OnBothBackends(t, testOtherTypesAreRefused) }

func TestFramesBeginAsTheProcessSeesThem(t *testing.T) {
	device.OnBothBackends(t, testFramesBeginAsTheProcessSeesThem)
}

func TestOneQueueIsNotSteered(t *testing.T) { device.OnBothBackends(t, testOneQueueIsNotSteered) }

func TestQueuesThatAreClosed(t *testing.T) { device.OnBothBackends(t, testQueuesThatAreClosed) }

func TestFlowsOfATunnelAreSpread(t *testing.T) { device.OnBothBackends(t, testFlowsOfATunnelAreSpread) }

func TestSendersGoByTheirCPU(t *testing.T) { device.OnBothBackends(t, testSendersGoByTheirCPU) }

func TestCPUsChangeUnderTraffic(t *testing.T) { device.OnBothBackends(t, testCPUsChangeUnderTraffic) }

func TestFilterKeepsDropsAndCuts(t *testing.T) { device.OnBothBackends(t, testFilterKeepsDropsAndCuts) }

func TestPrefixFilterDropsNothingElse(t *testing.T) {
	device.OnBothBackends(t, testPrefixFilterDropsNothingElse)
}

func TestTaggedFrames(t *testing.T) { device.OnBothBackends(t, testTaggedFrames) }

func TestPrefixesChangeUnderTraffic(t *testing.T) {
	device.OnBothBackends(t, testPrefixesChangeUnderTraffic)
}

func TestProgramsOutliveTheirHandles(t *testing.T) {
	device.OnBothBackends(t, testProgramsOutliveTheirHandles)
}

func TestDeviceThatIsGone(t *testing.T) { device.OnBothBackends(t, testDeviceThatIsGone) }

func TestPersistentDeviceKeepsItsPrograms(t *testing.T) {
	device.OnBothBackends(t, testPersistentDeviceKeepsItsPrograms)
}

func TestProgramsComeAndGoUnderTraffic(t *testing.T) {
	device.OnBothBackends(t, testProgramsComeAndGoUnderTraffic)
}
