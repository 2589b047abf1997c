// SPDX-License-Identifier: MIT

package syscount

// firstArgument is where a system call's first argument is in struct pt_regs.
const firstArgument = 112 // di
