package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every command takes the settings; STS sees them.
func TestRoleSettingsInEveryCommand(t *testing.T) {
	p := inPod(t)
	p.target.SetTrust(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + p.hub.ARN() + `"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x,y"}}},
		{"Effect":"Allow","Principal":{"AWS":"` + p.hub.ARN() + `"},"Action":["sts:TagSession","sts:SetSourceIdentity"]}]}`)
	p.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"` + target + `"}]}`)
	role := target + ",external-id=x%2Cy,session-name=batch,duration=20m,source-identity=alice,tags=team=pics;stage=a b"
	for _, args := range [][]string{
		{"doctor", "--role", role},
		{"process", "--role", role},
		{"ls", "--role", role, "s3://pics"},
		{"cp", "--role", role, "s3://pics/indoor-cat.jpg", t.TempDir()},
		{"exec", "--role", role, "--", "true"},
	} {
		before := len(p.cloud.Calls())
		if stdout, stderr, err := crossrole(t.Context(), args...); err != nil {
			t.Errorf("%s: %v\n%s%s", args[0], err, stdout, stderr)
		}
		asked := false
		for _, c := range p.cloud.Calls()[before:] {
			if c.Operation != "AssumeRole" {
				continue
			}
			asked = true
			for name, want := range map[string]string{"RoleSessionName": "batch", "DurationSeconds": "1200", "SourceIdentity": "alice", "ExternalId": "x,y", "Tags": "stage=a b,team=pics"} {
				if got := c.Params[name]; got != want {
					t.Errorf("%s: %s is %q, want %q", args[0], name, got, want)
				}
			}
		}
		if !asked {
			t.Errorf("%s asked for no role", args[0])
		}
		args[slices.Index(args, role)] = target + ",external_id=hush"
		if _, _, err := crossrole(t.Context(), args...); !errors.As(err, new(usageError)) {
			t.Errorf("%s with a wrong setting: %v", args[0], err)
		}
	}
}

// own sets what the pod's own session is like, alone or before other roles.
func TestOwnRoleWithSettings(t *testing.T) {
	p := inPod(t)
	p.hub.SetMaxSessionDuration(12 * time.Hour)
	for _, args := range [][]string{
		{"process", "--role", "own,duration=12h,session-name=batch"},
		{"process", "--role", "own,duration=12h,session-name=batch", "--role", target},
	} {
		before := len(p.cloud.Calls())
		if _, stderr, err := crossrole(t.Context(), args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, stderr)
		}
		params := p.cloud.Calls()[before].Params
		if params["DurationSeconds"] != "43200" || params["RoleSessionName"] != "batch" {
			t.Errorf("%v asked %v", args, params)
		}
	}
	for _, args := range [][]string{
		{"process", "--role", target, "--role", "own"},
		{"process", "--role", "own", "--role", "own"},
		{"process", "--role", "own,duration=1h", "--source", "base"},
		{"process", "--role", "own,session-name=ab", "--source", "node-role"},
	} {
		if _, _, err := crossrole(t.Context(), args...); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--role own: ") {
			t.Errorf("%v: %v", args, err)
		}
	}
	stdout, _, err := crossrole(t.Context(), "process", "--role", "own", "--source", "web-identity")
	if err != nil || !json.Valid([]byte(stdout)) {
		t.Errorf("own without settings: %v %s", err, stdout)
	}
}
