package s3reader

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// OpenOptions.Random: handles that request little more than what is read.

const (
	// maxRandomAhead is how much is requested in advance for a random reader that reads on
	// in order, in bytes.
	maxRandomAhead = 256 << 10

	// wholeRun is after how many bytes, read in order from a file of FS, all the rest is
	// requested, over several connections if that helps.
	wholeRun = 16 << 20
)

// random is the state of a handle with OpenOptions.Random.
type random struct {
	on    bool
	files bool // of FS: a reader that reads on in order usually reads to the end
	whole bool // all the rest is requested, until a Seek

	next, got int64 // where the latest sequence of reads ended, and its bytes
}

// openRandom opens an object without requesting its bytes. With missing, the caller finds
// out why there is no such object.
func openRandom(parent context.Context, c *client, key string, missing bool) (*Object, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(parent)
	head, err := c.headExplained(ctx, key, c.headWithChecksum, missing)
	if err != nil {
		cancel(err)
		return nil, err
	}
	if normalETag(head.ETag) == "" {
		// A second request could get another version.
		cancel(nil)
		return openObject(parent, c, c.getInput(key), "open")
	}
	o, err := newRandomObject(ctx, c, cancel, key, head)
	if err != nil {
		cancel(err)
		return nil, err
	}
	return o, nil
}

func newRandomObject(ctx context.Context, c *client, cancel context.CancelCauseFunc, key string, head *s3.HeadObjectOutput) (*Object, error) {
	info, err := c.describe(ctx, key, head)
	if err != nil {
		return nil, err
	}
	if archived(head) {
		return nil, &Error{Kind: Archived, Err: errors.New("S3 returns the object's metadata, but not its bytes"), hint: archiveOf(head).hint()}
	}
	o := newObject(ctx, c, cancel, info, head, true)
	if info.Size == 0 {
		if err := o.addToSum(0, nil); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// archived reports whether a GET would be refused until the object is restored.
func archived(head *s3.HeadObjectOutput) bool {
	switch head.StorageClass {
	case types.StorageClassGlacier, types.StorageClassDeepArchive:
	default:
		if head.ArchiveStatus == "" {
			return false
		}
	}
	a := archiveOf(head)
	return a.restore == "none" || a.restore == "ongoing"
}

// nextRandom reads at the position of a random handle. It reports false if the rest is to
// be read as from any other handle.
func (o *Object) nextRandom(p []byte) (n int, read bool, err error) {
	s, run := &o.stream, &o.random
	if run.whole {
		return 0, false, nil
	}
	if o.pos != run.next {
		run.next, run.got = o.pos, 0
	}
	if s.body == nil || s.pos != o.pos {
		s.Close()
		s.pos, s.failedAttempts = o.pos, 0
		if run.files && run.got >= wholeRun {
			run.whole, s.end = true, o.info.Size
			return 0, false, nil
		}
		limit := int64(maxRandomAhead)
		if run.files {
			limit = max(limit, run.got/2)
		}
		s.end = min(o.info.Size, o.pos+int64(len(p))+min(run.got, limit))
	}
	if n, err = s.Read(p); err != nil {
		return 0, true, err
	}
	run.next += int64(n)
	run.got += int64(n)
	return n, true, nil
}

// toEnd makes the next read request all the rest.
func (o *Object) toEnd() {
	if run := &o.random; run.on && !run.whole {
		o.stream.Close()
		o.stream.pos, o.stream.end, o.stream.failedAttempts = o.pos, o.info.Size, 0
		run.whole = true
	}
}
