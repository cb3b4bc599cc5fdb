package s3reader

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// # How a composite checksum is verified
//
// Of an object that was uploaded in parts, S3 may have only a composite checksum: that
// of the checksums of its parts, such as "qBn3DQ==-12" for 12 parts
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html,
// "Composite checksums"). To compute it, the sizes of the parts are necessary.
//
//	compositeOf     the checksum in the response to a GET or HEAD
//	partsOf         GetObjectAttributes, once per object: the parts, or nil
//	    ├─► partSum              for bytes that are read in order
//	    └─► objectParts.compare  for a download over several connections, whose
//	                             transfer.Job ends a part at the end of each of these
//
// The parts are asked for when the first bytes have arrived, or more than a header of a
// handle for random access (Object.askForParts). Whatever keeps them from
// being known, such as a role without s3:GetObjectAttributes, makes the object
// unverified, and is no error. It is remembered for a while (partsAccess).

// composite is a checksum over those of the parts of an upload.
type composite struct {
	checksum     // Value: without the number of parts
	parts    int // their number; 0: not known
}

// maxParts is how many parts an upload has at most.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const maxParts = 10_000

// A page of parts has at most maxPartsPage of them, as S3's:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
// Stores may send shorter ones, and at most maxPartsPages of them.
const (
	maxPartsPage  = 1000
	maxPartsPages = 100
)

// compositeOf returns the composite checksum in a response; nil if it has none, or a
// checksum of all bytes.
func compositeOf(out *s3.HeadObjectOutput) *composite {
	if len(wholeChecksums(out)) > 0 {
		return nil
	}
	for _, sum := range storedChecksums(out) {
		c := &composite{checksum: sum}
		value, n, found := strings.Cut(sum.Value, "-")
		if c.Value = value; found {
			var err error
			if c.parts, err = strconv.Atoi(n); err != nil || c.parts < 1 || c.parts > maxParts {
				continue
			}
		}
		return c
	}
	return nil
}

// objectParts are the parts in which an object was uploaded.
type objectParts struct {
	of     *composite
	ends   []int64  // where each of them ends
	values []string // their checksums; nil: not known
}

// partsOf returns the parts of the object with a composite checksum; nil if they cannot
// be known. The error is that of ctx, or a panic of user code.
func partsOf(ctx context.Context, c *client, info *Info, of *composite) (*objectParts, error) {
	if of.parts == 1 {
		return &objectParts{of: of, ends: []int64{info.Size}}, nil
	}
	if info.ETag == "" { // a second request could get another version
		return nil, nil
	}
	leave, err := c.parts.enter(ctx)
	if leave == nil {
		return nil, err
	}
	parts, err := askParts(ctx, c, info, of)
	ended := ctxErr(ctx)
	if ended != nil {
		leave(context.Canceled) // says nothing about the store
		return nil, ended
	}
	leave(err)
	if err == nil {
		return parts, nil
	}
	if _, panicked := errors.AsType[*PanicError](err); panicked {
		return nil, err
	}
	c.opts.Logger.Info("s3reader: the parts of an object are not known, so its composite checksum is not verified",
		"bucket", c.bucket.name, "key", info.Key, "algorithm", of.Algorithm, "cause", causeText(err))
	return nil, nil
}

var errNoAttributes = errors.New("the response has no attributes of an object")

// errNoParts is the error of a response about an object that does not describe its parts.
var errNoParts = errors.New("the response does not list the parts of the object")

// askParts requests the parts of an object, up to 1,000 at a time. Reads wait for it and
// can do without, so that it takes at most partsTimeout, and no bursts of retries.
func askParts(parent context.Context, c *client, info *Info, of *composite) (*objectParts, error) {
	ctx, cancel := context.WithTimeout(parent, partsTimeout)
	defer cancel()
	in := &s3.GetObjectAttributesInput{
		Bucket: &c.bucket.name, Key: &info.Key,
		ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesEtag, types.ObjectAttributesObjectParts},
		RequestPayer:     c.payer(), ExpectedBucketOwner: c.owner(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.opts.CustomerKey.headers()
	parts := &objectParts{of: of}
	end := int64(0)
	length := base64.StdEncoding.EncodedLen(of.new().Size())
	for page, more := 1, true; more; page++ {
		if page > maxPartsPages {
			return nil, fmt.Errorf("%w: there are more than %d pages", errNoParts, maxPartsPages)
		}
		out, err := call(ctx, c, getAttributes, in)
		if err != nil {
			return nil, err
		}
		etag := normalETag(out.ETag)
		if etag == "" {
			return nil, errNoAttributes
		}
		if etag != info.ETag {
			return nil, changedETag(info.ETag, etag)
		}
		if out.ObjectParts == nil || len(out.ObjectParts.Parts) == 0 {
			return nil, fmt.Errorf("%w: there are no more after %d", errNoParts, len(parts.ends))
		}
		if n := len(out.ObjectParts.Parts); n > maxPartsPage {
			return nil, fmt.Errorf("%w: a page has %d; at most %d are read", errNoParts, n, maxPartsPage)
		}
		for _, p := range out.ObjectParts.Parts {
			size := aws.ToInt64(p.Size)
			if int(aws.ToInt32(p.PartNumber)) != len(parts.ends)+1 || size < 0 || size > info.Size-end || len(parts.ends) == maxParts {
				return nil, fmt.Errorf("%w: part %d of %d bytes follows %d parts of %d bytes", errNoParts, aws.ToInt32(p.PartNumber), size, len(parts.ends), end)
			}
			value := partChecksum(p, of.Algorithm)
			if len(value) != length {
				value = "" // not a checksum
			}
			end += size
			parts.ends, parts.values = append(parts.ends, end), append(parts.values, value)
		}
		more = aws.ToBool(out.ObjectParts.IsTruncated)
		in.PartNumberMarker = aws.String(strconv.Itoa(len(parts.ends)))
	}
	if end != info.Size || of.parts > 0 && of.parts != len(parts.ends) {
		return nil, fmt.Errorf("%w: there are %d of %d bytes, and the object has %d of %d bytes", errNoParts, len(parts.ends), end, of.parts, info.Size)
	}
	switch over := of.over(parts.values); {
	case over == "":
		parts.values = nil // incomplete; the composite is enough
	case over != of.Value:
		return nil, fmt.Errorf("%w: the object's checksum is not computed over theirs", errNoParts)
	}
	return parts, nil
}

func getAttributes(client *s3.Client, ctx context.Context, in *s3.GetObjectAttributesInput, optFns ...func(*s3.Options)) (*s3.GetObjectAttributesOutput, error) {
	return client.GetObjectAttributes(ctx, in, append(optFns, withoutBursts)...)
}

func partChecksum(p types.ObjectPart, algorithm string) string {
	for _, c := range storedChecksums(&s3.HeadObjectOutput{
		ChecksumCRC64NVME: p.ChecksumCRC64NVME, ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C,
		ChecksumSHA256: p.ChecksumSHA256, ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA512: p.ChecksumSHA512, ChecksumMD5: p.ChecksumMD5,
		ChecksumXXHASH64: p.ChecksumXXHASH64, ChecksumXXHASH3: p.ChecksumXXHASH3, ChecksumXXHASH128: p.ChecksumXXHASH128,
	}) {
		if c.Algorithm == algorithm {
			return c.Value
		}
	}
	return ""
}

// over returns the checksum over those of the parts; empty if one is missing or not base64.
func (c *composite) over(values []string) string {
	all := c.new()
	for _, v := range values {
		digest, err := base64.StdEncoding.DecodeString(v)
		if err != nil || v == "" {
			return ""
		}
		all.Write(digest)
	}
	return base64.StdEncoding.EncodeToString(all.Sum(nil))
}

// start returns where part i begins, which is counted from 0.
func (p *objectParts) start(i int) int64 {
	if i == 0 {
		return 0
	}
	return p.ends[i-1]
}

// size returns the size that all parts but the last have; 0 if they differ.
func (p *objectParts) size() int64 {
	size := p.ends[0]
	for i := range p.ends {
		if n := p.ends[i] - p.start(i); n > size || n < size && i < len(p.ends)-1 {
			return 0
		}
	}
	return size
}

// comparePart fails if the checksum of part i is known, and is not got.
func (p *objectParts) comparePart(i int, got string) error {
	if p.values == nil || p.values[i] == got {
		return nil
	}
	return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s of part %d of %d (%d bytes at %d) is %s, the object's is %s",
		p.of.Algorithm, i+1, len(p.ends), p.ends[i]-p.start(i), p.start(i), got, p.values[i])}
}

// compareAll fails unless got is the checksum over those of all parts.
func (p *objectParts) compareAll(got string) error {
	if got == p.of.Value {
		return nil
	}
	return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s over the checksums of %d parts received is %s, the object's is %s", p.of.Algorithm, len(p.ends), got, p.of.Value)}
}

// compare compares the CRCs of an object's ranges, in order and of the kind of p.of,
// with the checksums of the parts. It reports false if a range is in two parts.
func (p *objectParts) compare(fetched []transfer.Part) (bool, error) {
	values := make([]string, len(p.ends))
	combiner := crc.Combiner{Kind: p.of.crc}
	for i, end := range p.ends {
		var sum uint64
		for len(fetched) > 0 && fetched[0].Start < end {
			if fetched[0].End > end {
				return false, nil
			}
			sum = combiner.Combine(sum, fetched[0].CRC, fetched[0].Len())
			fetched = fetched[1:]
		}
		values[i] = p.of.crc.Encode(sum)
		if err := p.comparePart(i, values[i]); err != nil {
			return false, err
		}
	}
	return true, p.compareAll(p.of.over(values))
}

// partSum is an orderedSum of a composite checksum.
type partSum struct {
	of   *objectParts
	hash hash.Hash // of the part that is read
	all  hash.Hash // of the checksums of the parts before it
	part int       // counted from 0
	at   int64     // hashed so far
}

// inOrder returns a partSum.
func (p *objectParts) inOrder() orderedSum {
	return &partSum{of: p, hash: p.of.new(), all: p.of.new()}
}

func (s *partSum) matched() bool { return s.part > len(s.of.ends) }

func (s *partSum) add(pos int64, p []byte) error {
	if s.matched() {
		return nil
	}
	if pos == 0 && s.at != 0 {
		s.hash.Reset()
		s.all.Reset()
		s.part, s.at = 0, 0
	}
	if pos != s.at {
		return nil
	}
	for ends := s.of.ends; s.part < len(ends); s.part++ {
		n := min(int64(len(p)), ends[s.part]-s.at)
		s.hash.Write(p[:n]) // a hash.Hash never returns an error
		p, s.at = p[n:], s.at+n
		if s.at < ends[s.part] {
			return nil
		}
		digest := s.hash.Sum(nil)
		if err := s.of.comparePart(s.part, base64.StdEncoding.EncodeToString(digest)); err != nil {
			return err
		}
		s.all.Write(digest)
		s.hash.Reset()
	}
	if err := s.of.compareAll(base64.StdEncoding.EncodeToString(s.all.Sum(nil))); err != nil {
		return err
	}
	s.part++
	return nil
}

// partsAccess remembers whether the parts of a bucket's objects can be asked for, so that
// a role that may not ask, or an outage of that request, delays few reads.
type partsAccess struct {
	request chan struct{}             // has a value while the request is in flight that decides
	decided atomic.Bool               // there was a response, or a failure that counts for all objects
	works   atomic.Bool               // there was a list of parts
	denied  atomic.Bool               // there was AccessDenied, and no list since
	until   atomic.Pointer[time.Time] // no list is requested before; nil: no pause
}

const (
	// partsTimeout is how long a read waits for the parts of an object.
	partsTimeout = 5 * time.Second

	// failurePause and refusalPause are for how long the parts of no object are asked for.
	failurePause = time.Minute
	refusalPause = time.Hour // permissions change
)

func newPartsAccess() partsAccess { return partsAccess{request: make(chan struct{}, 1)} }

// enter returns the function to call with the error of a request; nil if there shall be
// none. Only the first request makes others wait; after a pause, one finds out whether
// requests work again, and the others are not made. The error is that of ctx.
func (a *partsAccess) enter(ctx context.Context) (leave func(error), _ error) {
	switch {
	case a.paused():
		return nil, nil
	case a.works.Load():
		return a.note, nil
	}
	select {
	case a.request <- struct{}{}:
	default:
		if a.decided.Load() {
			return nil, nil
		}
		select {
		case a.request <- struct{}{}:
		case <-ctx.Done():
			return nil, ctxErr(ctx)
		}
	}
	if works := a.works.Load(); works || a.paused() {
		<-a.request
		if works {
			return a.note, nil
		}
		return nil, nil
	}
	return func(err error) {
		a.note(err)
		<-a.request
	}, nil
}

func (a *partsAccess) paused() bool {
	until := a.until.Load()
	return until != nil && time.Now().Before(*until)
}

// note remembers the outcome of a request.
func (a *partsAccess) note(err error) {
	if err == nil {
		a.works.Store(true)
		a.decided.Store(true)
		a.denied.Store(false)
		return
	}
	if pause := a.pauseAfter(err); pause > 0 {
		a.until.Store(new(time.Now().Add(pause)))
		a.decided.Store(true)
	}
}

// pauseAfter returns for how long err keeps the parts of other objects from being asked
// for. Policies may deny single objects, so that the first refusal counts for a minute.
func (a *partsAccess) pauseAfter(err error) time.Duration {
	status := 0
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status = resp.HTTPStatusCode()
	}
	kind := kindOf(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ObjectChanged), kind == NotFound:
		return 0
	case a.works.Load():
		if kind == AccessDenied || errors.Is(err, errNoParts) || errors.Is(err, errNoAttributes) {
			return 0 // the parts of others were listed
		}
		return failurePause
	case kind == AccessDenied && !a.denied.Swap(true):
		return failurePause
	case kind == AccessDenied, errors.Is(err, errNoAttributes), status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return refusalPause
	}
	return failurePause
}
