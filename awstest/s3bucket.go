package awstest

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The bucket itself: ListBuckets, CreateBucket, DeleteBucket, and ACLs, which new
// buckets have switched off.

// s3ServiceOperations are the operations that need no bucket.
var s3ServiceOperations = map[string]func(*s3Request) (*response, *refusal){
	"CreateBucket": createBucket,
	"ListBuckets":  listBuckets,
}

// onService returns the request as one for a bucket of the caller's account that
// need not exist: authorize asks for it by that name.
func onService(c *Cloud, req *request, name string) *s3Request {
	owner := &Account{cloud: c}
	if req.caller != nil {
		owner = req.caller.account
	}
	return &s3Request{request: req, cloud: c, of: &Bucket{name: name, owner: owner}, query: req.URL.Query()}
}

// listBuckets handles ListBuckets: the buckets of the caller's account.
func listBuckets(s *s3Request) (*response, *refusal) {
	s = onService(s.cloud, s.request, "*")
	if refused := s.authorize("s3:ListAllMyBuckets"); refused != nil {
		return nil, refused
	}
	most := 10000
	if text := s.query.Get("max-buckets"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return nil, badArgument("Argument max-buckets must be an integer between 1 and 10000", "max-buckets", text)
		}
		most = n
	}
	after := ""
	if s.query.Has("continuation-token") {
		var ok bool
		if after, ok = s.of.readToken(s.query.Get("continuation-token")); !ok {
			return nil, badArgument("The continuation token provided is incorrect", "continuation-token", s.query.Get("continuation-token"))
		}
	}
	prefix, region := s.query.Get("prefix"), s.query.Get("bucket-region")
	var found []*Bucket
	more := false
	for _, b := range s.cloud.buckets.of(s.caller.account) {
		switch {
		case b.name <= after || !strings.HasPrefix(b.name, prefix) || region != "" && b.settings().region != region:
		case len(found) == most:
			more = true
		default:
			found = append(found, b)
		}
	}
	var x s3XML
	x.open("ListAllMyBucketsResult")
	x.owner(s.of.owner)
	x.open("Buckets")
	for _, b := range found {
		x.open("Bucket")
		x.element("Name", b.name)
		x.element("CreationDate", b.created.Format(xmlTime))
		if s.query.Has("max-buckets") || s.query.Has("prefix") || s.query.Has("bucket-region") || after != "" {
			x.element("BucketRegion", b.settings().region)
		}
		x.close("Bucket")
	}
	x.close("Buckets")
	if more {
		x.element("ContinuationToken", s.of.token(found[len(found)-1].name))
	}
	if prefix != "" {
		x.element("Prefix", prefix)
	}
	x.close("ListAllMyBucketsResult")
	return x.response(), nil
}

// of returns the buckets of an account, by name.
func (s *bucketStore) of(owner *Account) []*Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var own []*Bucket
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		if s.byName[name].owner == owner {
			own = append(own, s.byName[name])
		}
	}
	return own
}

// createBucket handles CreateBucket.
func createBucket(s *s3Request) (*response, *refusal) {
	s = onService(s.cloud, s.request, s.bucket)
	if s.caller == nil {
		return nil, refuse(403, "AccessDenied", "Access Denied")
	}
	if refused := s.authorize("s3:CreateBucket"); refused != nil {
		return nil, refused
	}
	switch ownership := s.Header.Get("X-Amz-Object-Ownership"); ownership {
	case "":
	case "BucketOwnerEnforced":
		if refused := s.authorize("s3:PutBucketOwnershipControls"); refused != nil {
			return nil, refused
		}
	default:
		return nil, refuse(501, "NotImplemented", "awstest implements the object ownership BucketOwnerEnforced only", "Header", "x-amz-object-ownership")
	}
	switch {
	case bucketNameRule(s.bucket) != "":
		s.call.Explain = bucketNameRule(s.bucket)
		return nil, refuse(400, "InvalidBucketName", "The specified bucket is not valid.", "BucketName", s.bucket)
	case s.Header.Get("X-Amz-Acl") != "" && s.Header.Get("X-Amz-Acl") != "private", hasGrants(s):
		return nil, refuse(400, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	region, refused := wantedRegion(s)
	if refused != nil {
		return nil, refused
	}
	_, taken := s.cloud.buckets.create(s.caller.account, s.bucket, region)
	switch {
	case taken == nil:
	case taken.owner != s.caller.account:
		return nil, refuse(409, "BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.", "BucketName", s.bucket)
	case region != "us-east-1" || taken.settings().region != region:
		return nil, refuse(409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.", "BucketName", s.bucket)
	}
	resp := &response{status: 200, header: http.Header{}}
	resp.header.Set("Location", "/"+s.bucket)
	return resp, nil
}

// wantedRegion returns the region that a CreateBucket asks for: that of the
// endpoint, or another one if the endpoint is that of all regions.
func wantedRegion(s *s3Request) (string, *refusal) {
	var wanted struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
		Other              []struct{ XMLName xml.Name } `xml:",any"`
	}
	if len(s.body) > 0 {
		if refused := readXML(s, maxConfiguration, &wanted); refused != nil {
			return "", refused
		}
	}
	if len(wanted.Other) > 0 {
		return "", refuse(501, "NotImplemented", "awstest does not implement "+wanted.Other[0].XMLName.Local+" of CreateBucketConfiguration")
	}
	constraint := wanted.LocationConstraint
	if constraint == "EU" {
		constraint = "eu-west-1"
	}
	host := s3Host().FindStringSubmatch(hostName(s.Host))
	global := s.region == "us-east-1" && (host == nil || host[2] == "")
	switch {
	case constraint == "us-east-1" || constraint != "" && !regionName().MatchString(constraint):
		return "", refuse(400, "InvalidLocationConstraint", "The specified location-constraint is not valid", "LocationConstraint", constraint)
	case constraint == "" && s.region == "us-east-1":
		return s.region, nil
	case constraint == "":
		return "", refuse(400, "IllegalLocationConstraintException", "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case constraint != s.region && !global:
		return "", refuse(400, "IllegalLocationConstraintException", "The "+constraint+" location constraint is incompatible for the region specific endpoint this request was sent to.")
	}
	return constraint, nil
}

// deleteBucket handles DeleteBucket.
func deleteBucket(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:DeleteBucket"); refused != nil {
		return nil, refused
	}
	store := &s.cloud.buckets
	store.mu.Lock()
	defer store.mu.Unlock()
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	switch {
	case store.byName[s.of.name] != s.of:
		return nil, refuse(404, "NoSuchBucket", "The specified bucket does not exist", "BucketName", s.of.name)
	case len(s.of.objects) > 0 && s.of.versioning != "":
		return nil, refuse(409, "BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.", "BucketName", s.of.name)
	case len(s.of.objects) > 0:
		return nil, refuse(409, "BucketNotEmpty", "The bucket you tried to delete is not empty", "BucketName", s.of.name)
	}
	delete(store.byName, s.of.name)
	return &response{status: http.StatusNoContent, header: http.Header{}}, nil
}

// getBucketACL handles GetBucketAcl: the owner has full control, and there are no
// other grants.
func getBucketACL(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:GetBucketAcl"); refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("AccessControlPolicy")
	x.owner(s.of.owner)
	x.open("AccessControlList")
	x.open("Grant")
	x.b.WriteString(`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`)
	x.element("ID", s.of.owner.canonicalID())
	x.b.WriteString("</Grantee>")
	x.element("Permission", "FULL_CONTROL")
	x.close("Grant")
	x.close("AccessControlList")
	x.close("AccessControlPolicy")
	return x.response(), nil
}

// putBucketACL handles PutBucketAcl, and putObjectACL PutObjectAcl: both refuse.
func putBucketACL(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:PutBucketAcl"); refused != nil {
		return nil, refused
	}
	return nil, noACLs()
}

func putObjectACL(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:PutObjectAcl"); refused != nil {
		return nil, refused
	}
	if s.Header.Get("X-Amz-Acl") == "bucket-owner-full-control" {
		return nil, refuse(501, "NotImplemented", "awstest does not implement PutObjectAcl, not even for the ACL that changes nothing")
	}
	return nil, noACLs()
}
