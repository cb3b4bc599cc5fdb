package main

import (
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

func TestParseNamedRole(t *testing.T) {
	role := func(arn string) credentials.Role { return credentials.Role{ARN: arn} }
	for _, tt := range []struct {
		flag     string
		name     string
		role     credentials.Role
		optional bool
	}{
		{"pics=arn:aws:iam::444455556666:role/S3_Pics", "pics", role("arn:aws:iam::444455556666:role/S3_Pics"), false},
		{"pics=arn:aws:iam::444455556666:role/a,b=c,optional", "pics", role("arn:aws:iam::444455556666:role/a,b=c"), true},
		{
			"S3_Pics-2.x=arn:aws:iam::444455556666:role/r,external-id=a,b=c,duration=30m", "S3_Pics-2.x",
			credentials.Role{ARN: "arn:aws:iam::444455556666:role/r", ExternalID: "a,b=c", Duration: 30 * time.Minute}, false,
		},
		{"own", "own", credentials.Role{}, false},
		{"own,optional", "own", credentials.Role{}, true},
	} {
		got, err := parseNamedRole(tt.flag)
		if err != nil || got.name != tt.name || got.optional != tt.optional ||
			got.role.ARN != tt.role.ARN || got.role.ExternalID != tt.role.ExternalID || got.role.Duration != tt.role.Duration {
			t.Errorf("%s: %+v, %v; want %+v", tt.flag, got, err, tt)
		}
	}
	for flag, want := range map[string]string{
		"":                              `"" is no name`,
		"=arn:aws:iam::1:role/r":        `"" is no name`,
		"../pics=arn:x":                 `"../pics" is no name`,
		".pics=arn:x":                   `".pics" is no name`,
		"a/b=arn:x":                     `"a/b" is no name`,
		strings.Repeat("a", 64):         "is no name",
		"arn:aws:iam::1:role/r":         "want NAME=ARN",
		"pics=":                         "no ARN after the =",
		"pics=arn:x,external-id=":       "external-id is empty",
		"pics=arn:x,duration=1 hour":    "duration: time: unknown unit",
		"own,external-id=x":             "external-id belongs to a role that is assumed",
		"own,other":                     `"own,other" is no name`,
		"pics=arn:x,duration=,optional": "duration is empty",
	} {
		if _, err := parseNamedRole(flag); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--role ") {
			t.Errorf("%q: %v; want %q", flag, err, want)
		}
	}
	if _, err := parseNamedRoles([]string{"pics=arn:x", "own", "Pics=arn:y"}); err == nil || !strings.Contains(err.Error(), `the name "Pics" is taken`) {
		t.Errorf("a name twice: %v", err)
	}
}
