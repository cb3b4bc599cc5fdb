// Package s3reader reads objects from one S3 bucket. It stays on one version of an
// object, and verifies the complete object if S3 stores a checksum for it.
//
// Start with [New], which takes any aws.Config: from package credentials of this
// module, from config.LoadDefaultConfig, or from a test. [Reader.Get] returns a
// complete object, [Reader.GetIfChanged] does so unless it is the version that you have,
// and [Reader.Open] returns a handle for sequential or random reads.
// [Reader.Download], [Reader.DownloadFile] and [Reader.DownloadDir] fetch large
// objects and directories over many connections. [Reader.Stat] and [Reader.List]
// describe objects, [Reader.FS] presents the bucket as a file system, and
// [Reader.Presign] makes links.
//
// # Guarantees
//
//   - An [Object] is one version. Every later request for it carries the ETag of
//     the first response (If-Match), and a response is accepted only if its status,
//     Content-Range, length and ETag are exactly what was requested. If the object
//     is overwritten meanwhile, reads continue in the old version if the bucket
//     keeps it and the role has s3:GetObjectVersion; otherwise they fail with
//     [ObjectChanged].
//   - A connection that breaks or stalls in the middle of a body is resumed at
//     the next byte. Only attempts without progress count toward the limit.
//   - Success means that all bytes have arrived and, if the object has a checksum
//     of all its bytes and is read in order, that they match it
//     ([Options.Verify]). The last bytes are held back until then.
//   - You get the stored bytes: nothing is decompressed. Info.ContentEncoding
//     says how they are encoded.
//   - Keys are opaque bytes, sent as they are: no cleaning, no trimming.
//
// # Errors
//
// Every failure is an [*Error], whose [Kind] says what went wrong:
//
//	errors.Is(err, fs.ErrNotExist)   // the key or the bucket does not exist
//	errors.Is(err, fs.ErrPermission) // S3 denied the request
//	errors.Is(err, s3reader.Archived)
//
// To a role without s3:ListBucket on the bucket, a missing key looks forbidden:
// S3 then responds with 403 whether the key exists or not. This package reports
// what S3 said and mentions the other possibility.
//
// # Endpoints
//
// Set a custom endpoint where the SDK looks for it: AWS_ENDPOINT_URL_S3, the
// profile, cfg.BaseEndpoint, or BaseEndpoint in Options.S3. If the bucket's name
// cannot be put in front of the endpoint's host (an IP address, localhost, a name
// with no dot or only one, a name in a Kubernetes cluster's DNS), it goes into the
// path. [Options.PathStyle] does the same for any other host.
//
// # Compatibility
//
// Error texts may change; kinds, codes and exported names stay.
package s3reader
