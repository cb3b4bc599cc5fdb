package kubernetes

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// loopback starts the loopback device of the current network namespace.
func loopback() error {
	return configure("lo", func(socket int, lo *unix.Ifreq) error {
		lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
	})
}

// addAddress gives the loopback device one more address. The label (lo:1) must be new.
// With the mask, every address of the network is local.
func addAddress(label string, address net.IP, mask net.IPMask) error {
	return configure(label, func(socket int, lo *unix.Ifreq) error {
		if err := lo.SetInet4Addr(address.To4()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, lo); err != nil {
			return err
		}
		if err := lo.SetInet4Addr(mask); err != nil {
			return err
		}
		return unix.IoctlIfreq(socket, unix.SIOCSIFNETMASK, lo)
	})
}

func configure(device string, f func(socket int, device *unix.Ifreq) error) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("kubernetes: %s: %w", device, err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(device)
	if err == nil {
		err = f(socket, request)
	}
	if err != nil {
		return fmt.Errorf("kubernetes: %s: %w", device, err)
	}
	return nil
}

// podNetwork is the network namespace of a pod. Its only device is loopback. Connections
// between the pod and the rest of the test are forwarded by this process.
type podNetwork struct {
	namespace *os.File

	mu        sync.Mutex
	listeners []net.Listener // nil after close
	closed    bool
}

// newPodNetwork creates a network in which programs reach the given addresses of this
// process's loopback device at the same addresses.
func newPodNetwork(reach []string) (*podNetwork, error) {
	n := &podNetwork{}
	err := inThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("kubernetes: network namespace: %w", err)
		}
		var err error
		if n.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err := loopback(); err != nil {
			return err
		}
		for _, address := range reach {
			l, err := net.Listen("tcp4", address)
			if err != nil {
				return err
			}
			n.listeners = append(n.listeners, l)
			go forward(l, func() (net.Conn, error) { return net.Dial("tcp4", address) })
		}
		return nil
	})
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// publish makes a port of the pod reachable at the pod's address.
func (n *podNetwork) publish(ip string, port int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("kubernetes: the pod's network is closed")
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(ip, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	n.listeners = append(n.listeners, l)
	go forward(l, func() (conn net.Conn, err error) {
		err = inThread(func() error {
			if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("kubernetes: network namespace: %w", err)
			}
			conn, err = net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			return err
		})
		return conn, err
	})
	return nil
}

// close stops forwarding. Connections that exist end with the pod's processes.
func (n *podNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.closed = true
	for _, l := range n.listeners {
		l.Close() // it ends the goroutine of forward
	}
	if n.namespace != nil {
		n.namespace.Close() // it was opened for reading only
	}
}

// forward connects each connection of the listener to one that dial returns, until the
// listener is closed.
func forward(l net.Listener, dial func() (net.Conn, error)) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			to, err := dial()
			if err != nil {
				return // the client sees that its connection ends
			}
			defer to.Close()
			done := make(chan struct{}, 2)
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1]) // either side may be killed
					if half, ok := pair[0].(*net.TCPConn); ok {
						_ = half.CloseWrite()
					}
					done <- struct{}{}
				}()
			}
			<-done
			<-done
		}()
	}
}

// inThread calls a function that may change the network namespace of its thread, and
// changes it back. The thread must not end: the kernel would kill the servers that it has
// started (see the package daemon).
func inThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		before, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer before.Close()
		err = f()
		if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil {
			// Keep the thread, and keep everything else out of it.
			done <- errors.Join(err, fmt.Errorf("kubernetes: leave a network namespace: %w", back))
			select {}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}
