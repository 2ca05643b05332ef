package capture

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// linkWatch tells when interfaces of the machine change: come, go, go up or down. It
// does not say which; who waits looks at his own.
type linkWatch struct {
	events chan struct{} // holds one; more are the same news
	file   *os.File
	reader sync.WaitGroup
}

// watchLinks listens to the kernel's routing messages about interfaces (rtnetlink(7)).
func watchLinks() (*linkWatch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket netlink", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind netlink", err), unix.Close(fd))
	}
	w := &linkWatch{events: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "netlink")}
	w.reader.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			// What it says is not read: a message may be lost (ENOBUFS), the news is not.
			if _, err := w.file.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return // closed
			}
			select {
			case w.events <- struct{}{}:
			default:
			}
		}
	})
	return w, nil
}

func (w *linkWatch) close() error {
	err := w.file.Close()
	w.reader.Wait()
	return err
}
