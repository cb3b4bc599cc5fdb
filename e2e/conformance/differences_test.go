package conformance

// differences are how the two gateways differ from AWS in S3, by row. (STS's
// stand beside the rows, since there nearly every refusal differs.)
var differences = map[string]map[server]difference{
	"s3: unsigned":                     {gateway: {status: 404, code: "NoSuchBucket", why: "anonymous requests look among the buckets of no tenant"}},
	"s3: unknown key":                  {gateway: {status: 403, code: "AccessDenied", why: "a key with a session token is a session's"}},
	"s3: no session token":             {gateway: {status: 403, code: "AccessDenied", why: "another code"}},
	"s3: signed for another region":    {gateway: {status: 200, why: "takes any region"}, versityServer: {status: 400, code: "AuthorizationHeaderMalformed", why: "does not tell the bucket's region"}},
	"s3: signed for another service":   {gateway: {status: 403, code: "SignatureDoesNotMatch", why: "another code"}},
	"presigned: for eight days":        {gateway: {status: 403, code: "AccessDenied", why: "another code"}},
	"get":                              {versityServer: {status: 200, why: "sends the request id twice"}},
	"get: no last bytes":               {gateway: {status: 206, why: "sends everything"}},
	"get: backward range":              {gateway: {status: 416, code: "InvalidRange", why: "does not ignore what is no range"}},
	"get: two ranges":                  {gateway: {status: 206, why: "sends the first"}},
	"get: key of 1,025 bytes":          {gateway: {status: 400, code: "InvalidObjectName", why: "another code"}},
	"get: not the expected owner":      {gateway: {status: 200, why: "Ceph 16 does not know the header"}},
	"get: version id of no version":    {gateway: {status: 404, code: "NoSuchKey", why: "another code"}},
	"head":                             {versityServer: {status: 200, why: "sends the request id twice"}},
	"head bucket":                      {gateway: {status: 200, why: "does not tell the bucket's region"}},
	"if-match: one of two":             {gateway: {status: 412, code: "PreconditionFailed", why: "reads one tag only"}, versityServer: {status: 412, code: "PreconditionFailed", why: "reads one tag only"}},
	"if-match: star":                   {gateway: {status: 412, code: "PreconditionFailed", why: "reads one tag only"}},
	"if-modified-since: then":          {versityServer: {status: 200, why: "compares with the file's time, to the nanosecond"}},
	"if-unmodified-since: then":        {versityServer: {status: 412, code: "PreconditionFailed", why: "compares with the file's time, to the nanosecond"}},
	"if-none-match: same":              {gateway: {status: 304, why: "no ETag"}, versityServer: {status: 304, why: "no ETag"}},
	"list: encoded":                    {gateway: {status: 200, why: "encodes a space as %20"}, versityServer: {status: 200, why: "does not encode"}},
	"list: unknown encoding":           {gateway: {status: 200, why: "ignores it"}, versityServer: {status: 200, why: "ignores it"}},
	"list: minus one key":              {gateway: {status: 200, why: "takes it for zero"}},
	"list: foreign continuation token": {gateway: {status: 200, why: "takes it for a key"}, versityServer: {status: 200, why: "takes it for a key"}},
	"put: CRC32 of something else":     {gateway: {status: 200, why: "Ceph 16 does not know the checksums of 2022"}},
}
