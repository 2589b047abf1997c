module github.com/mytun/mytun/bench

go 1.25.0

require github.com/mytun/mytun v0.0.0

replace github.com/mytun/mytun => ../
