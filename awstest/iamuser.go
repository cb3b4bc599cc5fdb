package awstest

import (
	"slices"
	"strings"
	"time"
)

// IAM's actions on users and their access keys.

var (
	userName     = parameter{name: "UserName", label: "userName", required: true, min: 1, max: maxName, pattern: iamName, custom: nameRule}
	optionalUser = parameter{name: "UserName", label: "userName", min: 1, max: 128, pattern: iamName, custom: nameRule}
	accessKeyID  = parameter{name: "AccessKeyId", label: "accessKeyId", required: true, min: 16, max: 128, pattern: wordPattern, shown: `[\w]+`}
)

// maxAccessKeys is how many access keys a user may have (IAM User Guide, "IAM and
// AWS STS quotas").
const maxAccessKeys = 2

func createUser(_ *Cloud, req *request) (string, *refusal) {
	a := req.caller.account
	name, path := req.param("UserName"), pathOf(req)
	arn := a.iamARN("user" + path + name)
	tags, refused := tagsOf(req)
	if refused != nil {
		return "", refused
	}
	keys := requestTagKeys(tags)
	if boundary := req.param("PermissionsBoundary"); boundary != "" {
		keys["iam:PermissionsBoundary"] = []string{boundary}
	}
	if refused := permit(req, arn, arn, keys); refused != nil {
		return "", refused
	}
	if refused := permitTagging(req, "iam:TagUser", arn, tags); refused != nil {
		return "", refused
	}
	boundary, refused := requestedBoundary(req)
	if refused != nil {
		return "", refused
	}
	u, refused := a.newUser(path, name)
	if refused != nil {
		return "", refused
	}
	u.tags, u.boundary = tags, boundary
	a.users[strings.ToLower(name)] = u
	return u.result(), nil
}

// requestedUser finds the user that a request names, or the caller's own, and asks
// whether the caller may do the action with it.
func requestedUser(req *request) (*user, *refusal) {
	a, name := req.caller.account, req.param("UserName")
	if name == "" {
		k := a.cloud.userKeys[req.caller.accessKeyID]
		if k == nil {
			return nil, invalid("Must specify userName when calling with non-User credentials")
		}
		name = k.user.name
	}
	u := a.users[strings.ToLower(name)]
	if u != nil && u.name != name {
		u = nil
	}
	arn, keys := a.iamARN("user/"+name), conditionKeys{}
	if u != nil {
		arn, keys = u.arn, u.resourceKeys()
	}
	if refused := permit(req, "user "+name, arn, keys); refused != nil {
		return nil, refused
	}
	if u == nil {
		return nil, noSuchEntity("The user with name %s cannot be found.", name)
	}
	return u, nil
}

// result is the user in the response of CreateUser and GetUser.
func (u *user) result() string {
	var b strings.Builder
	b.WriteString("<User>")
	element(&b, "Path", u.path)
	element(&b, "UserName", u.name)
	element(&b, "UserId", u.id)
	element(&b, "Arn", u.arn)
	element(&b, "CreateDate", u.created.Format(time.RFC3339))
	if u.boundary != nil {
		writeBoundary(&b, u.boundary)
	}
	writeTags(&b, u.tags)
	b.WriteString("</User>")
	return b.String()
}

func getUser(_ *Cloud, req *request) (string, *refusal) {
	u, refused := requestedUser(req)
	if refused != nil {
		return "", refused
	}
	return u.result(), nil
}

func putUserPolicy(_ *Cloud, req *request) (string, *refusal) {
	u, refused := requestedUser(req)
	if refused != nil {
		return "", refused
	}
	d, refused := parseIdentityPolicy(req.param("PolicyDocument"))
	if refused != nil {
		return "", refused
	}
	return "", u.setInline(req.param("PolicyName"), d)
}

func createAccessKey(_ *Cloud, req *request) (string, *refusal) {
	u, refused := requestedUser(req)
	if refused != nil {
		return "", refused
	}
	if len(u.keys) >= maxAccessKeys {
		return "", limitExceeded("Cannot exceed quota for AccessKeysPerUser: 2", "")
	}
	k := u.newAccessKey()
	var b strings.Builder
	b.WriteString("<AccessKey>")
	element(&b, "UserName", u.name)
	element(&b, "AccessKeyId", k.id)
	element(&b, "Status", "Active")
	element(&b, "SecretAccessKey", k.secret)
	element(&b, "CreateDate", k.created.Format(time.RFC3339))
	b.WriteString("</AccessKey>")
	return b.String(), nil
}

func listAccessKeys(_ *Cloud, req *request) (string, *refusal) {
	u, refused := requestedUser(req)
	if refused != nil {
		return "", refused
	}
	return writePage(req, "AccessKeyMetadata", u.keys, func(k *accessKey) string { return k.id }, func(b *strings.Builder, k *accessKey) {
		element(b, "UserName", u.name)
		element(b, "AccessKeyId", k.id)
		element(b, "Status", "Active")
		element(b, "CreateDate", k.created.Format(time.RFC3339))
	})
}

func deleteAccessKey(c *Cloud, req *request) (string, *refusal) {
	u, refused := requestedUser(req)
	if refused != nil {
		return "", refused
	}
	id := req.param("AccessKeyId")
	if k := c.userKeys[id]; k == nil || k.user != u {
		return "", noSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	u.keys = slices.DeleteFunc(u.keys, func(k *accessKey) bool { return k.id == id })
	delete(c.userKeys, id)
	return "", nil
}
