package s3reader

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// archive is where an object lies that must be restored before it can be read.
type archive struct {
	class, tier string // tier: of INTELLIGENT_TIERING only
	restore     string // none, ongoing or expired; empty: not known
	until       time.Time
}

// archiveOf reads what HEAD says. x-amz-restore is absent where nobody asked for
// a restore: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func archiveOf(head *s3.HeadObjectOutput) archive {
	a := archive{class: storageClass(string(head.StorageClass)), tier: string(head.ArchiveStatus), restore: "none"}
	switch restore := aws.ToString(head.Restore); {
	case strings.Contains(restore, `ongoing-request="true"`):
		a.restore = "ongoing"
	case restore != "":
		a.restore = "expired"
		if m := restoreExpiry().FindStringSubmatch(restore); m != nil {
			a.until, _ = http.ParseTime(m[1]) // unreadable: not shown
		}
	}
	return a
}

var restoreExpiry = pattern(`expiry-date="([^"]*)"`)

// archiveNamed reads what the refusal of a GET says.
func archiveNamed(err error) archive {
	state, ok := errors.AsType[*types.InvalidObjectState](err)
	if !ok {
		return archive{}
	}
	return archive{class: string(state.StorageClass), tier: string(state.AccessTier)}
}

// note says what to do. This package never starts a restore: it takes hours and
// costs money.
func (a archive) note() string {
	what := "restore it first"
	switch {
	case a.restore == "ongoing":
		what = "wait for the end of the restore"
	case a.restore == "expired" && time.Now().Before(a.until):
		// It was just completed, or the answers are of two moments.
		return fmt.Sprintf("it is in %s, restored until %s: try again", a.place(), a.until.UTC().Format(time.RFC3339))
	case a.restore == "expired":
		what = "restore it again"
	}
	if a.class == "" {
		return what
	}
	where := "it is in " + a.place()
	if a.restore != "" {
		where += ", restore state " + a.restore
	}
	if !a.until.IsZero() {
		where += " since " + a.until.UTC().Format(time.RFC3339)
	}
	return where + ": " + what
}

func (a archive) place() string { return strings.TrimSpace(a.class + " " + a.tier) }
