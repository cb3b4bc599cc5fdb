package main

import (
	"errors"
	"testing"
)

func TestS3URLs(t *testing.T) {
	for text, want := range map[string]s3URL{
		"s3://pics":            {"pics", ""},
		"s3://pics/":           {"pics", ""},
		"s3://pics/a/b":        {"pics", "a/b"},
		"s3://pics//a":         {"pics", "/a"},
		"s3://pics/a%20b?c#d":  {"pics", "a%20b?c#d"},
		"s3://pics/ space é ":  {"pics", " space é "},
		"s3://p-s3alias/a":     {"p-s3alias", "a"},
		"s3://arn:aws:s3:::p":  {"p", ""},
		"s3://arn:aws:s3:::p/": {"p", ""},

		"s3://arn:aws-us-gov:s3:::p/a//b":                              {"p", "a//b"},
		"s3://arn:other:s3:::p/a":                                      {"arn:other:s3:::p", "a"}, // the reader refuses it
		"s3://arn:aws:s3:eu-west-1:444455556666:accesspoint/pics":      {"arn:aws:s3:eu-west-1:444455556666:accesspoint/pics", ""},
		"s3://arn:aws:s3:eu-west-1:444455556666:accesspoint/pics/a//b": {"arn:aws:s3:eu-west-1:444455556666:accesspoint/pics", "a//b"},
	} {
		if got, err := parseS3URL(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "pics/a", "s3:/pics", "S3://pics", "s3://", "s3:///a", "s3://arn:aws:s3:::/a", "s3://arn:aws:s3:::", "https://pics.s3.amazonaws.com/a"} {
		if got, err := parseS3URL(text); !errors.As(err, new(usageError)) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestShown(t *testing.T) {
	for s, want := range map[string]string{
		"a b/é": "a b/é", "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`, `"a"`: `"\"a\""`, "\xff": `"\xff"`, "a\u202eb": `"a\u202eb"`, "": "",
	} {
		if got := quote(s); got != want {
			t.Errorf("%q: got %s", s, got)
		}
	}
}
