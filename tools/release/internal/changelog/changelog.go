// Package changelog checks the headings of a changelog in the format of
// https://keepachangelog.com.
package changelog

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Pending stands in place of the date until a version is tagged.
const Pending = "unreleased"

var heading = regexp.MustCompile(`^## \[([^\]]+)\](?: - (.+))?$`)

// Check reports what is wrong with the headings of text. The first must be
// "## [Unreleased]"; the others are "## [1.2.3] - 2026-01-31", newest first. Only the
// newest may have the word "unreleased" instead of a date.
//
// If version is not empty (such as "v1.2.3"), it must be the newest, dated by date, and
// nothing may be left under Unreleased. Date has the form 2026-01-31.
func Check(text, version, date string) error {
	type entry struct {
		version, date string
		lines         int // that are not empty
	}
	var entries []entry
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "## ") {
			m := heading.FindStringSubmatch(line)
			if m == nil {
				return fmt.Errorf("heading %q: want \"## [1.2.3] - 2026-01-31\"", line)
			}
			entries = append(entries, entry{version: m[1], date: m[2]})
		} else if len(entries) > 0 && strings.TrimSpace(line) != "" {
			entries[len(entries)-1].lines++
		}
	}
	if len(entries) == 0 || entries[0].version != "Unreleased" || entries[0].date != "" {
		return fmt.Errorf("the first heading must be \"## [Unreleased]\"")
	}
	waiting, entries := entries[0].lines, entries[1:]
	for i, e := range entries {
		switch _, err := time.Parse(time.DateOnly, e.date); {
		case !semver.IsValid("v"+e.version) || semver.Canonical("v"+e.version) != "v"+e.version:
			return fmt.Errorf("heading of %q: want a version such as 1.2.3", e.version)
		case i > 0 && semver.Compare("v"+entries[i-1].version, "v"+e.version) <= 0:
			return fmt.Errorf("%s stands below %s: want the newest version first", e.version, entries[i-1].version)
		case e.date == Pending && i > 0:
			return fmt.Errorf("%s is %q, but %s is newer: give it the date of its tag", e.version, Pending, entries[0].version)
		case e.date != Pending && err != nil:
			return fmt.Errorf("%s has the date %q: want a date such as 2026-01-31", e.version, e.date)
		case e.lines == 0:
			return fmt.Errorf("%s has no text", e.version)
		}
	}
	if version == "" {
		return nil
	}
	if len(entries) == 0 || "v"+entries[0].version != version {
		return fmt.Errorf("no heading for %s below Unreleased: want \"## [%s] - %s\"", version, strings.TrimPrefix(version, "v"), date)
	}
	if entries[0].date != date {
		return fmt.Errorf("%s is dated %q, but its commit is of %s: write \"## [%s] - %s\" and commit", version, entries[0].date, date, entries[0].version, date)
	}
	if waiting > 0 {
		return fmt.Errorf("there is text under Unreleased: move it to %s", version)
	}
	return nil
}
