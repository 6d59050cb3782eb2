// Command etcd is the upstream server, whose own package main belongs to a module that no proxy serves whole.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
