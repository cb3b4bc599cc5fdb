package s3reader

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Link is a presigned URL: anyone who has it may read the object until it expires.
// Printing a Link shows neither key nor signature; printing its URL does.
type Link struct {
	URL     string
	Expires time.Time // after ttl, or when the session that signed it expires, if that is sooner
}

// Format prints the URL's host and the expiry, whatever the verb.
func (l Link) Format(f fmt.State, _ rune) {
	host := "?"
	if u, err := url.Parse(l.URL); err == nil {
		host = u.Host
	}
	fmt.Fprintf(f, "s3reader.Link{%s until %s}", host, l.Expires.UTC().Format(time.RFC3339))
}

// MarshalText returns what Format prints, for JSON and slog.
func (l Link) MarshalText() ([]byte, error) { return fmt.Append(nil, l), nil }

// LinkOptions of [Reader.Presign]. The zero value links to the object as it is.
type LinkOptions struct {
	// FileName makes a browser save the object under that name instead of showing
	// it (Content-Disposition, RFC 6266). It may be any text without control
	// characters and slashes. Empty: the object's own Content-Disposition.
	FileName string

	// ContentType replaces the object's, for example "text/plain; charset=utf-8". Empty:
	// the object's.
	ContentType string

	// VersionID is the version to link to, which requires s3:GetObjectVersion.
	// Empty: the version that is current when the link is opened.
	VersionID string
}

func (o *LinkOptions) validate() error {
	switch {
	case !printable(o.FileName) || strings.ContainsAny(o.FileName, `/\`):
		return fmt.Errorf("LinkOptions.FileName %q is not the name of a file: leave out control characters and slashes", o.FileName)
	case !printable(o.VersionID):
		return fmt.Errorf("LinkOptions.VersionID %q has control characters: give it as S3 does", o.VersionID)
	case o.ContentType == "":
		return nil
	}
	_, _, err := mime.ParseMediaType(o.ContentType)
	if err == nil && !(printable(o.ContentType) && isASCII(o.ContentType)) {
		err = errors.New("it has characters that no header may have")
	}
	if err != nil {
		return fmt.Errorf("LinkOptions.ContentType %q is not a media type such as \"text/plain; charset=utf-8\": %w", o.ContentType, err)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII })
}

// input adds to in how S3 is to respond.
func (o *LinkOptions) input(in *s3.GetObjectInput) *s3.GetObjectInput {
	if o.FileName != "" {
		in.ResponseContentDisposition = new(attachment(o.FileName))
	}
	if o.ContentType != "" {
		in.ResponseContentType = &o.ContentType
	}
	if o.VersionID != "" {
		in.VersionId = &o.VersionID
	}
	return in
}

// attachment returns the Content-Disposition that makes a browser save a file under a name
// (RFC 6266, section 4). Characters that not every browser supports are replaced in
// filename, and encoded in filename* (RFC 8187).
func attachment(name string) string {
	plain := strings.Map(func(c rune) rune {
		if c > '~' || strings.ContainsRune(`"%`, c) {
			return '_'
		}
		return c
	}, name)
	value := `attachment; filename="` + plain + `"`
	if plain == name {
		return value
	}
	var exact strings.Builder
	for _, c := range []byte(name) {
		if madeOf(string(rune(c)), lowerLetters+upperLetters+digits+"!#$&+-.^_`|~") {
			exact.WriteByte(c)
		} else {
			fmt.Fprintf(&exact, "%%%02X", c)
		}
	}
	return value + "; filename*=UTF-8''" + exact.String()
}

// maxLink is the limit of Signature Version 4:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html
const maxLink = 7 * 24 * time.Hour

// Presign returns a link through which anyone can read an object for ttl: whole
// seconds, at least one and at most 7 days.
//
// A link never outlives the session that signs it. If cfg.Credentials is a chain, a
// session that expires sooner than ttl is renewed first, and a ttl that no session of
// the chain can cover is an error. That includes a ttl of an hour with sessions of an
// hour, because a second of it may have passed. Other credentials cannot be renewed
// on request: the link then expires with them, and Link.Expires says when.
//
// Presign does not check that the object exists. The first call makes one request,
// unless the bucket's region is known already.
func (r *Reader) Presign(ctx context.Context, key string, ttl time.Duration, optFns ...func(*LinkOptions)) (*Link, error) {
	const op = "presign"
	opts, err := optionsOf(optFns)
	if err == nil {
		err = opts.validate()
	}
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	if r.opts.CustomerKey.bytes != nil {
		return nil, r.fail(op, key, errors.New("a link to an object that is encrypted with Options.CustomerKey does not work without the key: use Open and serve the bytes"))
	}
	if err := checkKey(key); err != nil {
		return nil, r.fail(op, key, err)
	}
	if ttl < time.Second || ttl > maxLink || ttl%time.Second != 0 {
		return nil, r.fail(op, key, fmt.Errorf("the ttl is %v: give whole seconds, 1s to 168h", ttl))
	}
	if err := r.learnRegion(ctx, key); err != nil {
		return nil, r.fail(op, key, err)
	}
	creds, err := credentialsFor(ctx, r.creds, ttl)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	now := time.Now()
	if left := time.Until(creds.Expires).Truncate(time.Second); creds.CanExpire && left < ttl {
		if ttl = left; ttl < time.Second {
			return nil, r.fail(op, key, fmt.Errorf("the credentials expired at %s", creds.Expires.UTC().Format(time.RFC3339)))
		}
	}
	signed, err := s3.NewPresignClient(r.Client()).PresignGetObject(ctx, opts.input(r.getInput(key)), func(o *s3.PresignOptions) {
		o.Expires = ttl
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			// Not another session, which could expire at another time.
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil })
		})
	})
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return &Link{URL: signed.URL, Expires: now.Add(ttl).Round(0)}, nil
}

// credentialsFor returns credentials that are valid for ttl, if the provider can return
// such.
func credentialsFor(ctx context.Context, from aws.CredentialsProvider, ttl time.Duration) (aws.Credentials, error) {
	if p, ok := from.(interface {
		RetrieveFor(context.Context, time.Duration) (aws.Credentials, error)
	}); ok {
		return p.RetrieveFor(ctx, ttl)
	}
	return from.Retrieve(ctx)
}
