package awstest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

func TestOldListings(t *testing.T) {
	runWrites(t, []writeRow{
		{request: "GET /open", status: 200, match: "<Name>open</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>k</Key>"},
		{request: "GET /pics?prefix=th&max-keys=1", status: 200, match: "<IsTruncated>true</IsTruncated><Contents><Key>thawed</Key>"},
		{request: "GET /pics?max-keys=1&delimiter=a", status: 200, match: "<NextMarker>before2024</NextMarker>"},
		{request: "GET /pics?marker=thawed&prefix=th", status: 200, match: "<Contents><Key>thawing</Key>"},
		{request: "GET /pics?max-keys=-1", status: 400, code: "InvalidArgument"},
		{request: "GET /pics?encoding-type=rot13", status: 400, code: "InvalidArgument"},
		{as: "reader", request: "GET /pics", status: 403, code: "AccessDenied", match: "s3:ListBucket "},
		{as: "lister", request: "GET /pics?prefix=public%2F1", status: 200},
		{as: "other", request: "GET /paid", headers: "x-amz-request-payer: requester", status: 200, answer: "x-amz-request-charged: requester"},
		{request: "GET /past?versions", status: 200, match: "<DeleteMarker><Key>gone</Key>"},
		{request: "GET /pics?versions&prefix=cat", status: 200, match: "<Version><Key>cat</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"},
		{request: "GET /past?versions&key-marker=k&version-id-marker={v2}", status: 200, match: "<VersionId>{v1}"},
		{request: "GET /past?versions&version-id-marker={v2}", status: 400, code: "InvalidArgument"},
		{request: "GET /past?versions&key-marker=k&version-id-marker=", status: 400, code: "InvalidArgument"},
		{request: "GET /past?versions&key-marker=k&version-id-marker=x", status: 400, code: "InvalidArgument"},
		{request: "GET /past?versions&max-keys=x", status: 400, code: "InvalidArgument"},
		{as: "lister", request: "GET /pics?versions&prefix=public%2F1", status: 403, code: "AccessDenied", match: "s3:ListBucketVersions"},
		{as: "other", request: "GET /paid?versions", headers: "x-amz-request-payer: requester", status: 200, answer: "x-amz-request-charged: requester"},
	})
}

// Whatever the size of its pages, a listing has every version once, by key and the
// newest first.
func TestVersionPages(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account(sharedID)
	bucket := account.CreateBucket("past")
	bucket.Put("b/1", []byte("null"))
	bucket.SetVersioning()
	for _, key := range []string{"a", "b/1", "b/1", "b/2", "c <&>"} {
		bucket.Put(key, []byte(key))
	}
	bucket.Delete("b/1")
	bucket.Delete("c <&>")
	cfg := cloud.Config()
	cfg.Credentials = provider(account.UserCredentials("u", allowAll))
	client := s3.NewFromConfig(cfg)
	list := func(in s3.ListObjectVersionsInput) string {
		t.Helper()
		in.Bucket = new("past")
		var got []string
		pages := s3.NewListObjectVersionsPaginator(client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			latest := map[bool]string{true: "!"}
			// The SDK keeps versions, markers and prefixes apart; here one a page is asked for.
			for _, m := range page.DeleteMarkers {
				got = append(got, "-"+*m.Key+latest[*m.IsLatest])
			}
			for _, v := range page.Versions {
				got = append(got, *v.Key+latest[*v.IsLatest])
			}
			for _, p := range page.CommonPrefixes {
				got = append(got, *p.Prefix+"*")
			}
		}
		return strings.Join(got, " ")
	}
	for _, test := range []struct {
		in   s3.ListObjectVersionsInput
		want string
	}{
		{s3.ListObjectVersionsInput{MaxKeys: aws.Int32(1)}, "a! -b/1! b/1 b/1 b/1 b/2! -c <&>! c <&>"},
		{s3.ListObjectVersionsInput{MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl, Prefix: new("b/")}, "-b%2F1! b%2F1 b%2F1 b%2F1 b%2F2!"},
		{s3.ListObjectVersionsInput{MaxKeys: aws.Int32(1), Delimiter: new("/")}, "a! b/* -c <&>! c <&>"},
		{s3.ListObjectVersionsInput{Prefix: new("b/1")}, "-b/1! b/1 b/1 b/1"},
		{s3.ListObjectVersionsInput{KeyMarker: new("b/1")}, "-c <&>! b/2! c <&>"},
		{s3.ListObjectVersionsInput{MaxKeys: aws.Int32(0)}, ""},
	} {
		test.want = strings.ReplaceAll(test.want, "%2F", "/")
		if got := list(test.in); got != test.want {
			t.Errorf("%+v:\n%s, want\n%s", test.in, got, test.want)
		}
	}
}

// Every page size of the first listing ends at the same keys.
func TestOldListingPages(t *testing.T) {
	s := newStore(t)
	for _, key := range awkwardKeys {
		s.pics.Put(key, nil)
	}
	client := s.client("owner")
	var all []string
	for size := int32(100); size > 0; size -= 33 {
		var keys []string
		marker := ""
		for {
			page, err := client.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: new("pics"), MaxKeys: &size, Marker: &marker, EncodingType: types.EncodingTypeUrl})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				keys = append(keys, *o.Key)
				if o.Owner == nil {
					t.Errorf("%s has no owner", *o.Key)
				}
			}
			if !*page.IsTruncated {
				break
			}
			marker = unescaped(t, keys[len(keys)-1])
		}
		if all == nil {
			all = keys
		}
		if strings.Join(keys, "\n") != strings.Join(all, "\n") {
			t.Errorf("pages of %d: %q, want %q", size, keys, all)
		}
	}
	if len(all) < len(awkwardKeys) {
		t.Errorf("%d keys", len(all))
	}
}

func TestObjectAttributes(t *testing.T) {
	const all = "x-amz-object-attributes: ETag,Checksum,ObjectParts,StorageClass,ObjectSize"
	runWrites(t, []writeRow{
		{request: "GET /pics/cat?attributes", headers: all, status: 200, match: "<ETag>781e5e245d69b566979b86e28d23f2c7</ETag><Checksum><ChecksumCRC64NVME>Ffmx7kz9nB0=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></Checksum><StorageClass>STANDARD</StorageClass><ObjectSize>10</ObjectSize>"},
		{request: "GET /pics/cat?attributes", headers: "x-amz-object-attributes: ObjectSize", status: 200, match: "2006-03-01/\"><ObjectSize>10</ObjectSize></GetObjectAttributesResponse>"},
		{request: "GET /pics/parts?attributes", headers: all, status: 200, match: "<ChecksumCRC32>JqXFmA==</ChecksumCRC32>"},
		{request: "GET /pics/parts?attributes", headers: all, status: 200, match: "<PartsCount>3</PartsCount><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><Size>10</Size><ChecksumCRC32>poTHxg==</ChecksumCRC32></Part>"},
		{request: "GET /pics/parts?attributes", headers: all + "\nx-amz-max-parts: 1\nx-amz-part-number-marker: 1", status: 200, match: "<IsTruncated>true</IsTruncated><Part><PartNumber>2</PartNumber>"},
		{request: "GET /pics/parts?attributes", headers: all + "\nx-amz-max-parts: x", status: 400, code: "InvalidArgument"},
		{request: "GET /pics/whole?attributes", headers: all, status: 200, match: "<ObjectParts><PartsCount>3</PartsCount></ObjectParts>"},
		{request: "GET /past/k?attributes&versionId={v1}", headers: all, status: 200, answer: "x-amz-version-id: {v1}"},
		{request: "GET /past/k?attributes&versionId=x", headers: all, status: 400, code: "InvalidArgument"},
		{request: "GET /pics/cat?attributes", status: 400, code: "InvalidRequest"},
		{request: "GET /pics/cat?attributes", headers: "x-amz-object-attributes: Colour", status: 400, code: "InvalidArgument"},
		{request: "GET /pics/none?attributes", headers: all, status: 404, code: "NoSuchKey"},
		{as: "reader", request: "GET /pics/cat?attributes", headers: all, status: 403, code: "AccessDenied", match: "s3:GetObjectAttributes on resource: &#34;arn:aws:s3:::pics/cat&#34;"},
		{request: "GET /pics/cat?tagging", status: 200, match: "<TagSet></TagSet>"},
		{request: "GET /past/k?tagging&versionId={v1}", status: 200, answer: "x-amz-version-id: {v1}"},
		{request: "GET /past/k?tagging&versionId=x", status: 400, code: "InvalidArgument"},
		{request: "GET /pics/none?tagging", status: 404, code: "NoSuchKey"},
		{as: "reader", request: "GET /pics/cat?tagging", status: 403, code: "AccessDenied", match: "s3:GetObjectTagging on resource: &#34;arn:aws:s3:::pics/cat&#34;"},
		{as: "other", request: "GET /paid/k?attributes", headers: all + "\nx-amz-request-payer: requester", status: 200, answer: "x-amz-request-charged: requester"},
	})
	s := newStore(t)
	got, err := s.client("owner").GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: new("pics"), Key: new("parts"), ObjectAttributes: types.ObjectAttributes("").Values()})
	if err != nil || *got.ObjectSize != 25 || *got.ObjectParts.TotalPartsCount != 3 || len(got.ObjectParts.Parts) != 3 {
		t.Errorf("attributes %+v, %v", got, err)
	}
}
