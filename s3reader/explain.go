package s3reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/internal/denial"
	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// From an error of a request to an *Error: what S3 said, and what it may mean.

// fail returns err as an *Error, with all that is known about it.
func (c *client) fail(op, key string, err error) error {
	known, ok := errors.AsType[*Error](err)
	if ok && known.Op != "" {
		return known
	}
	e := &Error{Op: op, Bucket: c.bucket.name, Key: key, Err: err, Kind: kindOf(err), secrets: &c.secrets}
	if at, ok := errors.AsType[*requestError](err); ok {
		e.Endpoint = at.endpoint
	}
	if ok {
		e.Kind, e.Err, e.hint = known.Kind, known.Err, known.hint
		if known.Endpoint != "" {
			e.Endpoint = known.Endpoint
		}
	}
	if api, ok := apiErrorOf(e.Err); ok {
		e.Code = api.ErrorCode()
		if id, ok := errors.AsType[interface {
			error
			ServiceRequestID() string
			ServiceHostID() string
		}](e.Err); ok {
			e.RequestID, e.HostID = id.ServiceRequestID(), id.ServiceHostID()
		}
	}
	if e.Code != "" {
		e.Region = c.current.Load().region
	}
	if of, ok := c.creds.(interface{ RoleARN() string }); ok && e.Code != "" {
		e.RoleARN = of.RoleARN()
	}
	if e.hint == "" {
		e.hint = c.hint(e)
	}
	return e
}

// recovered turns a panic into an *Error. Public methods defer it.
func (c *client) recovered(op, key string, err *error) {
	if v := recover(); v != nil {
		*err = c.fail(op, key, panicError(v))
	}
}

// hint returns what the response leaves open, or what to do.
func (c *client) hint(e *Error) string {
	redirect := redirectHint(e)
	switch e.Kind {
	case AccessDenied:
		return c.denied(e)
	case Archived:
		return archiveNamed(e.Err).hint()
	case ObjectChanged:
		return "it was overwritten after it was opened: open it again"
	case WrongRegion:
		at := c.current.Load().region
		text := fmt.Sprintf("the request went to %s and S3 does not say where the bucket is: set Options.Region to the bucket's", at)
		if there := bucketRegion(e.Err); there != "" {
			text = fmt.Sprintf("the bucket is in %s and the request went to %s: set Options.Region to %q", there, at, there)
		}
		if redirect != "" {
			text += "; " + redirect
		}
		return text
	}
	return redirect
}

// explain adds to the refusal of a GET what a HEAD says of the object: S3 responds
// with the same "Access Denied" whether a permission or a KMS key is missing, and does
// not say whether an archived object is being restored.
//
// A failed operation costs at most this one request more. Refusals of ranges are not
// explained, since their object was opened before, nor those that name the action.
func (c *client) explain(ctx context.Context, in any, err error) error {
	get, ok := in.(*s3.GetObjectInput)
	if !ok || get.Range != nil {
		return err
	}
	kind := kindOf(err)
	if kind != Archived && (kind != AccessDenied || saysWhy(err)) {
		return err
	}
	head, headErr := c.head(ctx, *get.Key)
	if headErr != nil {
		return err // no more can be known
	}
	known := &Error{Kind: kind, Err: err, hint: deniedBytes(head)}
	if kind == Archived {
		known.hint = archiveOf(head).hint()
	}
	return known
}

// saysWhy reports whether a refusal names the action that was denied.
func saysWhy(err error) bool {
	api, ok := apiErrorOf(err)
	return ok && (aboutKMS(api) || strings.Contains(api.ErrorMessage(), "not authorized to perform"))
}

// deniedBytes returns the hint for an object whose HEAD is allowed and whose GET is
// denied.
func deniedBytes(head *s3.HeadObjectOutput) string {
	if !strings.HasPrefix(string(head.ServerSideEncryption), "aws:kms") {
		return deniedCauses
	}
	key := "its KMS key"
	if arn := kmsKey(aws.ToString(head.SSEKMSKeyId)); arn != "" {
		key = arn
	}
	return fmt.Sprintf("perhaps the role's policy or the key's does not allow kms:Decrypt on %s (a guess: the role can read the object's metadata, but S3 does not decrypt it)", key)
}

const deniedCauses = "S3 does not say why: the role's policy may not allow s3:GetObject, the bucket's policy or that of a VPC endpoint may deny it, " +
	"the object may belong to a different account than the bucket, or its KMS key may not allow kms:Decrypt"

// denied says which policy denied a request and who can change it, if S3's message names
// the policy. Otherwise it lists the likely causes, as far as the message allows them, and
// the command that prints the necessary policy.
func (c *client) denied(e *Error) string {
	api, _ := apiErrorOf(e.Err)
	var d denial.Denial
	var named bool
	if api != nil {
		d, named = denial.Read(api.ErrorMessage())
	}
	var text string
	switch {
	case api != nil && aboutKMS(api):
		return deniedByKMS(api, d, named)
	case !isListing(e) && api != nil && denial.Action(api.ErrorMessage()) == "s3:ListBucket":
		text = "access to the object itself is not denied; perhaps the key does not exist, which S3 hides from a role without s3:ListBucket on the bucket: check the key"
	case named && isListing(e):
		text = "listing requires s3:ListBucket on the bucket: " + d.Fix()
	case named:
		text = d.Fix()
	case isListing(e):
		text = "listing requires s3:ListBucket on the bucket, in the role's policy and, across accounts, in the bucket's"
	default:
		if api == nil || !saysWhy(e.Err) {
			text = deniedCauses + "; "
		}
		text += "or the key does not exist, which S3 hides from a role without s3:ListBucket on the bucket"
	}
	if !named {
		if !c.opts.RequestPayer {
			text += ", or the bucket is requester pays (Options.RequestPayer)"
		}
		if c.opts.ExpectedBucketOwner != "" {
			text += ", or the bucket is not owned by " + c.opts.ExpectedBucketOwner + " (Options.ExpectedBucketOwner)"
		}
	}
	if named && !d.OfCaller() {
		return text
	}
	if !c.bucket.isARN() && !strings.HasSuffix(c.bucket.name, "-s3alias") {
		text += fmt.Sprintf("; \"crossrole trust read --bucket %s\" prints the policy that the role needs (with --prefix, for some keys only)", c.bucket.name)
	}
	return text
}

// deniedByKMS returns the hint for an object whose key may not be used.
func deniedByKMS(api smithy.APIError, d denial.Denial, named bool) string {
	key := kmsKey(denial.WithoutKey(api.ErrorMessage()))
	if named {
		d.Resource = key
		return "KMS denied the request: " + d.Fix()
	}
	return fmt.Sprintf("KMS denied the request: %s must be enabled and must allow the role kms:Decrypt, and the role's own policy must allow it too (the AWS managed key aws/s3 cannot be used from another account)", cmp.Or(key, "the object's KMS key"))
}

// isListing reports whether e is the refusal of a listing, in any operation.
func isListing(e *Error) bool {
	op, ok := errors.AsType[*smithy.OperationError](e.Err)
	return ok && strings.HasPrefix(op.Operation(), "List") || e.Op == "list"
}

// aboutKMS reports whether a response mentions KMS, as S3's codes "KMS.…Exception" do.
func aboutKMS(api smithy.APIError) bool {
	return strings.HasPrefix(api.ErrorCode(), kmsCodes) || strings.Contains(strings.ToLower(denial.WithoutKey(api.ErrorMessage())), "kms")
}

const kmsCodes = "KMS."

var kmsARN = lazyregexp.New(`arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key|alias)/[A-Za-z0-9_/-]+`)

// kmsKey returns the ARN of a KMS key in text; empty if there is none.
func kmsKey(text string) string { return kmsARN().FindString(text) }

// archive is the state of an object that must be restored before it can be read.
type archive struct {
	class, tier string // tier: of INTELLIGENT_TIERING only
	restore     string // none, ongoing or expired; empty: not known
	until       time.Time
}

// archiveOf returns the state in the response to a HEAD. Without x-amz-restore, no
// restore was requested: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func archiveOf(head *s3.HeadObjectOutput) archive {
	a := archive{class: storageClass(string(head.StorageClass)), tier: string(head.ArchiveStatus), restore: "none"}
	switch restore := aws.ToString(head.Restore); {
	case strings.Contains(restore, `ongoing-request="true"`):
		a.restore = "ongoing"
	case restore != "":
		a.restore = "expired"
		if m := restoreExpiry().FindStringSubmatch(restore); m != nil {
			a.until, _ = http.ParseTime(m[1]) // not shown if invalid
		}
	}
	return a
}

var restoreExpiry = lazyregexp.New(`expiry-date="([^"]*)"`)

// archiveNamed returns the state in the refusal of a GET.
func archiveNamed(err error) archive {
	state, ok := errors.AsType[*types.InvalidObjectState](err)
	if !ok {
		return archive{}
	}
	return archive{class: string(state.StorageClass), tier: string(state.AccessTier)}
}

// hint returns what to do. This package never starts a restore: that takes hours and
// costs money.
func (a archive) hint() string {
	what := "restore it first"
	switch {
	case a.restore == "ongoing":
		what = "wait for the restore to finish"
	case a.restore == "expired" && time.Now().Before(a.until):
		// It was completed between the two requests.
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
