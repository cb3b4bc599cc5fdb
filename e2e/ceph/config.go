package ceph

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The configuration of a small Ceph cluster: its keys, ceph.conf and monitor map.

const (
	monitor = "mon."
	admin   = "client.admin"
	osd     = "osd.0"
	gateway = "client.rgw.a"
)

// configuration returns a ceph.conf for one monitor, one in-memory object store and one
// gateway, all on 127.0.0.1.
func configuration(dir, fsid, monAddr, rgwAddr string) string {
	return fmt.Sprintf(`[global]
fsid = %[2]s
mon_host = [v2:%[3]s]
ms_bind_msgr1 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
keyring = %[1]s/keyring
run_dir = %[1]s
pid_file =
admin_socket =
crash_dir = %[1]s
log_file =
log_to_stderr = true
err_to_stderr = true
mon_cluster_log_file =
mon_data = %[1]s/mon
osd_data = %[1]s/osd
rgw_data = %[1]s/rgw
# Debian's packages hand the data directories to a user "ceph".
setuser_match_path = /nonexistent

# One copy of everything: there is one disk, and it is memory.
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000

# A monitor without peers need not gather proposals for a second.
paxos_propose_interval = 0.05
paxos_min_wait = 0.01

# By this the monitor finds itself in mon_host.
[mon.a]
public_addrv = [v2:%[3]s]

[%[5]s]
# Without tcp_nodelay a small answer waits 40 ms for an acknowledgement.
rgw_frontends = beast endpoint=%[4]s tcp_nodelay=1
rgw_s3_auth_use_sts = true
rgw_sts_key = sixteen-char-key
# AWS gives no session shorter than 900 s; this lets a test see one end.
rgw_sts_min_session_duration = 1
# Takes keys of customers (SSE-C) without TLS too.
rgw_crypt_require_ssl = false
`, dir, fsid, monAddr, rgwAddr, gateway)
}

// keyring returns the keys of all clients of the cluster. The gateway does not start if
// cephx is disabled.
func keyring() (string, error) {
	caps := []struct{ name, caps string }{
		{monitor, `caps mon = "allow *"`},
		{admin, "caps mon = \"allow *\"\n\tcaps osd = \"allow *\"\n\tcaps mgr = \"allow *\""},
		{osd, "caps mon = \"allow profile osd\"\n\tcaps osd = \"allow *\"\n\tcaps mgr = \"allow profile osd\""},
		{gateway, "caps mon = \"allow rw\"\n\tcaps osd = \"allow rwx\"\n\tcaps mgr = \"allow rw\""},
	}
	var b strings.Builder
	for _, c := range caps {
		key, err := cephxKey()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "[%s]\n\tkey = %s\n\t%s\n", c.name, key, c.caps)
	}
	return b.String(), nil
}

// cephxKey returns a new AES key in the format of keyring files: type 1, creation time,
// length, bytes, little endian.
func cephxKey() (string, error) {
	const aes, size = 1, 16
	b := binary.LittleEndian.AppendUint16(nil, aes)
	b = binary.LittleEndian.AppendUint32(b, uint32(time.Now().Unix()))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, size)
	secret := make([]byte, size)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("ceph: new key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(append(b, secret...)), nil
}

// uuid returns a random version 4 UUID (RFC 9562).
func uuid() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// layOut writes the files that the daemons read when they start.
func layOut(dir, fsid, monAddr, rgwAddr string) error {
	keys, err := keyring()
	if err != nil {
		return err
	}
	for _, d := range []string{"mon", "osd", "rgw"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("ceph: %w", err)
		}
	}
	for name, content := range map[string]string{
		"ceph.conf": configuration(dir, fsid, monAddr, rgwAddr),
		"keyring":   keys,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("ceph: %w", err)
		}
	}
	return nil
}
