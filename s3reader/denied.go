package s3reader

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// explain adds to the refusal of an object what a HEAD knows of it: S3 says
// "Access Denied" alike where a permission and where a KMS key is missing, and of
// an archived object it does not say whether it is being restored.
//
// That is at most one more request for an operation that has failed. Ranges are
// not explained: their object was opened before. Nor is a refusal that says which
// action it is about.
func (r *Reader) explain(ctx context.Context, in any, err error) error {
	get, ok := in.(*s3.GetObjectInput)
	if !ok || get.Range != nil {
		return err
	}
	kind := kindOf(err)
	if kind != Archived && (kind != AccessDenied || saysWhy(err)) {
		return err
	}
	head, headErr := r.head(ctx, *get.Key)
	if headErr != nil {
		return err // which is as much as can be known
	}
	known := &Error{Kind: kind, Err: err, note: r.deniedBytes(head)}
	if kind == Archived {
		known.note = archiveOf(head).note()
	}
	return known
}

// saysWhy reports whether a refusal names what was not allowed.
func saysWhy(err error) bool {
	api, ok := answerOf(err)
	return ok && (aboutKMS(api) || strings.Contains(api.ErrorMessage(), "not authorized to perform"))
}

// deniedBytes is for an object that S3 describes and does not deliver.
func (r *Reader) deniedBytes(head *s3.HeadObjectOutput) string {
	if !strings.HasPrefix(string(head.ServerSideEncryption), "aws:kms") {
		return deniedCauses
	}
	key := "its KMS key"
	if arn := kmsKey(aws.ToString(head.SSEKMSKeyId)); arn != "" {
		key = arn
	}
	return fmt.Sprintf("possibly kms:Decrypt on %s is not allowed, by the role's policy or by the key's (a guess: S3 describes the object to the role, but does not decrypt it)", key)
}

const deniedCauses = "S3 does not say why: the role's policy may not allow s3:GetObject, the bucket's policy or that of a VPC endpoint may deny it, " +
	"the object may belong to another account than the bucket does, or its KMS key may not allow kms:Decrypt"

// denied lists the likely causes of a refusal, none of which what S3 says rules
// out, and where the policy comes from.
func (r *Reader) denied(e *Error) string {
	api, _ := answerOf(e.Err)
	if api != nil && aboutKMS(api) {
		key := "the object's KMS key"
		if arn := kmsKey(api.ErrorMessage()); arn != "" {
			key = arn
		}
		return fmt.Sprintf("it is KMS that refuses: %s must be enabled and allow the role kms:Decrypt, and so must the role's own policy (the AWS managed key aws/s3 cannot be used from another account)", key)
	}
	var text string
	switch {
	case api != nil && strings.Contains(api.ErrorMessage(), "explicit deny"):
		return "an explicit deny overrides every allow, whether the key exists or not: the owner of the policy that denies must exempt the role"
	case isListing(e):
		text = "listing takes s3:ListBucket on the bucket, in the role's policy and, across accounts, in the bucket's"
	case api != nil && strings.Contains(api.ErrorMessage(), "not authorized to perform: s3:ListBucket"):
		text = "the object itself is not refused; it may also be that the key does not exist, which S3 does not tell a role without s3:ListBucket on the bucket: check the key"
	default:
		if api == nil || !saysWhy(e.Err) {
			text = deniedCauses + "; "
		}
		text += "it may also be that the key does not exist, which S3 does not tell a role without s3:ListBucket on the bucket"
	}
	if !r.opts.RequestPayer {
		text += ", or that the bucket is requester pays (Options.RequestPayer)"
	}
	if r.opts.ExpectedBucketOwner != "" {
		text += ", or that the bucket is not owned by " + r.opts.ExpectedBucketOwner + " (Options.ExpectedBucketOwner)"
	}
	if !r.bucket.isARN() && !strings.HasSuffix(r.bucket.name, "-s3alias") {
		text += fmt.Sprintf("; \"crossrole trust read --bucket %s\" prints the policy that the role needs (with --prefix, for some keys only)", r.bucket.name)
	}
	return text
}

// isListing reports whether it was a listing that S3 refused, whatever it was for.
func isListing(e *Error) bool {
	op, ok := errors.AsType[*smithy.OperationError](e.Err)
	return ok && strings.HasPrefix(op.Operation(), "List") || e.Op == "list"
}

// aboutKMS reports whether the answer itself speaks of KMS, as S3's codes
// "KMS.…Exception" do.
func aboutKMS(api smithy.APIError) bool {
	return strings.HasPrefix(api.ErrorCode(), kmsCodes) || strings.Contains(strings.ToLower(api.ErrorMessage()), "kms")
}

const kmsCodes = "KMS."

var kmsARN = pattern(`arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key|alias)/[A-Za-z0-9_/-]+`)

// kmsKey is the ARN of a key that text names; empty if it names none.
func kmsKey(text string) string { return kmsARN().FindString(text) }
