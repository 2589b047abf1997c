// SPDX-License-Identifier: MIT

// Package report shows the rows of a benchmark to people: as a table, as bar charts, as the generated part of a document, and as a comparison
// with the figures that an earlier commit had.
package report
