module lab/httpbin

go 1.25.0

require github.com/mccutchen/go-httpbin/v2 v2.23.1 // indirect

tool github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin
