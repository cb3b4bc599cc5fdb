package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
)

// identityInHome returns an error if a file of the user's home directory would
// give the program another identity although no variable names the file:
//
//   - a default profile with credentials in ~/.aws, which the PHP SDK and boto 2
//     read whatever AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say;
//   - the encrypted store of the .NET SDK on Windows.
//
// getenv is os.Getenv in the command.
func identityInHome(getenv func(string) string) error {
	if home := homeDir(getenv); home != "" {
		for _, name := range []string{"credentials", "config"} {
			file := filepath.Join(home, ".aws", name)
			setting, err := defaultIdentity(file)
			if err != nil {
				return refuseHomeFile(file, "cannot be read: "+err.Error())
			}
			if setting != "" {
				return refuseHomeFile(file, "has a default profile with "+setting+", which the PHP SDK and boto 2 use before the endpoint, whatever the environment says")
			}
		}
	}
	if local := getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && local != "" {
		file := filepath.Join(local, "AWSToolkit", "RegisteredAccounts.json")
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return refuseHomeFile(file, "holds accounts that the .NET SDK uses before the endpoint, whatever the environment says")
		}
	}
	return nil
}

func refuseHomeFile(file, why string) error {
	return fmt.Errorf("exec: %s %s: the program could act as that identity instead of the role; "+
		"remove the profile or the file, set HOME to another directory, or, if the program uses neither SDK, add --keep-home-files", file, why)
}

// homeDir is the directory that the SDKs take for ~.
func homeDir(getenv func(string) string) string {
	names := []string{"HOME"}
	if runtime.GOOS == "windows" {
		names = []string{"HOME", "USERPROFILE"}
	}
	for _, name := range names {
		if home := getenv(name); home != "" {
			return home
		}
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// defaultIdentity returns the first setting by which the default profile of a
// shared configuration file gives credentials, or "".
func defaultIdentity(file string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", err // the SDKs read no profiles from it
	}
	lines := bufio.NewScanner(f)
	isDefault := false
	for lines.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if section, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ = strings.Cut(section, "]")
			words := strings.Fields(strings.NewReplacer(`"`, " ", `'`, " ").Replace(section))
			isDefault = len(words) > 0 && words[len(words)-1] == "default" && (len(words) == 1 || words[0] == "profile")
			continue
		}
		setting, _, ok := strings.Cut(strings.Replace(line, ":", "=", 1), "=")
		setting = strings.ToLower(strings.TrimSpace(setting))
		if isDefault && ok && givesCredentials(setting) {
			return setting, nil
		}
	}
	return "", lines.Err()
}

func givesCredentials(setting string) bool {
	switch setting {
	case "aws_access_key_id", "aws_secret_access_key", "credential_process", "credential_source", "source_profile",
		"role_arn", "web_identity_token_file", "login_session":
		return true
	}
	return strings.HasPrefix(setting, "sso_")
}
