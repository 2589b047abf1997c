module github.com/mytun/mytun/cmd/mytunstat

go 1.19
