package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// otherChoices are the variables by which an SDK would find other credentials
// than the endpoint's.
var otherChoices = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
	"AWS_ACCESS_KEY", "AWS_SECRET_KEY", // an older spelling that some SDKs still read
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
}

// childEnv is the environment of the program.
func childEnv(env []string, region, url, tokenFile string) []string {
	hasRegion := false
	env = slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		hasRegion = hasRegion || name == "AWS_REGION" && value != ""
		return slices.Contains(otherChoices, name)
	})
	if !hasRegion {
		env = append(env, "AWS_REGION="+region)
	}
	return append(env,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI="+url,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+tokenFile,
		// A default profile in the files of the home directory would win.
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
	)
}

// runChild runs the program and passes signals on to it. Its exit status, if it
// is not 0, is the error.
func runChild(child *exec.Cmd, signals <-chan os.Signal) error {
	if err := child.Start(); err != nil {
		status := exitError(126)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			status = 127
		}
		fmt.Fprintf(child.Stderr, "crossrole: exec: %v\n", err)
		return status
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if !reachesChild(s) {
				_ = child.Process.Signal(s) // it may have ended meanwhile
			}
		case err := <-done:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				return fmt.Errorf("exec: %w", err)
			}
			if status := statusOfChild(child.ProcessState); status != 0 {
				return status
			}
			return nil
		}
	}
}
