package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Container simulates a container of a pod: a root directory that contains only a static
// program and the volumes, and a process with the pod's user, groups and environment.
type Container struct {
	Image    string   // the program's file; it has the same base name in the root
	Args     []string // of the program
	Env      []string
	Mounts   []Mount
	UID, GID int
	Groups   []int
	Root     string // an empty directory; "": the machine's root, with the mounts added
	Network  int    // inherited file descriptor of a network namespace; 0: the current one
}

// Mount is a directory that is visible in the container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// contained is the variable that passes a Container to the process that becomes it.
const contained = "CROSSROLE_E2E_CONTAINER"

// Process returns the program and the environment for a process that becomes the
// container. The program is this one; it must call [Become] first.
func (c Container) Process() (program string, env []string, err error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", nil, fmt.Errorf("kubernetes: container: %w", err)
	}
	return "/proc/self/exe", []string{contained + "=" + string(text)}, nil
}

// Command returns a command that runs the container.
func (c Container) Command() (*exec.Cmd, error) {
	program, env, err := c.Process()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = env
	return cmd, nil
}

// Become turns this process into the container that its environment describes. If there
// is none, it does nothing.
func Become() {
	text := os.Getenv(contained)
	if text == "" {
		return
	}
	var c Container
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = c.become()
	}
	fmt.Fprintln(os.Stderr, "kubernetes: container:", err)
	os.Exit(125) // docker's exit code if the container could not be started
}

// become does not return, unless it fails.
func (c Container) become() error {
	// A mount namespace belongs to a thread; exec makes this thread the process.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if c.Network != 0 {
		if err := unix.Setns(c.Network, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		unix.CloseOnExec(c.Network)
	}
	// A mount may hide the program's file.
	image, err := unix.Open(c.Image, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open "+c.Image, err)
	}
	name, program := c.Image, fmt.Sprintf("/proc/self/fd/%d", image)
	if c.Root != "" {
		if err := unix.Mount("tmpfs", c.Root, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("root: %w", err)
		}
		program = "/" + filepath.Base(c.Image)
		name = program
		c.Mounts = append(c.Mounts, Mount{c.Image, program, true}, Mount{"/dev/null", "/dev/null", false})
	}
	for _, m := range c.Mounts {
		if err := m.bind(c.Root); err != nil {
			return err
		}
	}
	if c.Root != "" {
		if err := enter(c.Root); err != nil {
			return err
		}
		if err := c.drop(); err != nil {
			return err
		}
	}
	return os.NewSyscallError("exec "+name, syscall.Exec(program, append([]string{name}, c.Args...), c.Env))
}

// bind mounts the source at the target below root.
func (m Mount) bind(root string) error {
	target := filepath.Join(root, m.Target)
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
	}
	if !m.ReadOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", m.Target, err)
	}
	return nil
}

// enter makes root the root directory, and the machine's own root unreachable.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// Put both at the same place: the old root is then on top and can be unmounted.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("old root: %w", err)
	}
	return os.Chdir("/")
}

// drop switches to the user permanently.
func (c Container) drop() error {
	if err := unix.Setgroups(c.Groups); err != nil {
		return fmt.Errorf("groups %v: %w", c.Groups, err)
	}
	if err := unix.Setresgid(c.GID, c.GID, c.GID); err != nil {
		return fmt.Errorf("gid %d: %w", c.GID, err)
	}
	if err := unix.Setresuid(c.UID, c.UID, c.UID); err != nil {
		return fmt.Errorf("uid %d: %w", c.UID, err)
	}
	return nil
}
