package rawtcp

import (
	"errors"
	"fmt"
	"os"
)

// ErrPermission says that the process may not open raw sockets: it lacks
// CAP_NET_RAW. The error that wraps it says how to give it, and wraps
// syscall.EPERM too.
var ErrPermission = errors.New("no permission to open a raw socket")

// permissionError wraps the error of the system call that was refused.
func permissionError(err error) error {
	path, pathErr := os.Executable()
	if pathErr != nil {
		path = os.Args[0]
	}
	return fmt.Errorf("%w (%w): allow it with 'setcap cap_net_raw+ep %s', or run as root, or give a container --cap-add NET_RAW",
		ErrPermission, err, path)
}
