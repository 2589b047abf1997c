// SPDX-License-Identifier: MIT

//go:build !linux

package wireguard

import (
	"github.com/mytun/mytun/pkg/mytunev"

	"golang.zx2c4.com/wireguard/tun"
)

// events are none: there is no device either.
type events struct{ channel chan tun.Event }

func newEvents(int) (*events, error) { return nil, mytunev.ErrNotSupported }

func (e *events) close() {}
