// Does what a Node program would do in a pod: exchange the token, assume the second
// role, read and write the bucket. It prints one JSON object per step.
import { readFileSync } from "node:fs";
import {
  STSClient, AssumeRoleWithWebIdentityCommand, AssumeRoleCommand, GetCallerIdentityCommand,
} from "@aws-sdk/client-sts";
import {
  S3Client, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand,
} from "@aws-sdk/client-s3";

const { ENDPOINT: endpoint, TOKEN_FILE, HUB, TARGET, BUCKET: Bucket } = process.env;
const region = "us-east-1";

// step runs one call and prints its outcome: the part of the response that pick returns,
// or the status and code of the error.
async function step(name, call, pick) {
  let answer, outcome;
  try {
    answer = await call();
    outcome = { status: answer.$metadata.httpStatusCode, ...(await pick(answer)) };
  } catch (e) {
    outcome = { status: e.$metadata?.httpStatusCode ?? 0, code: e.Code ?? e.name, message: e.message };
  }
  console.log(JSON.stringify({ name, ...outcome }));
  return answer;
}

const keys = (answer) => ({
  accessKeyId: answer.Credentials.AccessKeyId,
  secretAccessKey: answer.Credentials.SecretAccessKey,
  sessionToken: answer.Credentials.SessionToken,
});
const sts = (credentials) => new STSClient({ endpoint, region, credentials, maxAttempts: 1 });
const assumed = (a) => ({ arn: a.AssumedRoleUser.Arn, expires: a.Credentials.Expiration > new Date() });

const anonymous = sts({ accessKeyId: "unused", secretAccessKey: "unused" });
const web = {
  RoleArn: HUB, RoleSessionName: "js", WebIdentityToken: readFileSync(TOKEN_FILE, "utf8"),
};
const hub = await step("web-identity", () => anonymous.send(new AssumeRoleWithWebIdentityCommand(web)), assumed);
await step("web-identity-wrong-role", () => anonymous.send(new AssumeRoleWithWebIdentityCommand({ ...web, RoleArn: TARGET })), assumed);
await step("web-identity-garbage", () => anonymous.send(new AssumeRoleWithWebIdentityCommand({ ...web, WebIdentityToken: "a.b.c" })), assumed);
await step("hub-identity", () => sts(keys(hub)).send(new GetCallerIdentityCommand({})), (a) => ({ arn: a.Arn, account: a.Account }));
const target = await step("assume", () => sts(keys(hub)).send(new AssumeRoleCommand({ RoleArn: TARGET, RoleSessionName: "js" })), assumed);
await step("assume-too-long", () => sts(keys(hub)).send(new AssumeRoleCommand({ RoleArn: TARGET, RoleSessionName: "js", DurationSeconds: 7200 })), assumed);
await step("target-identity", () => sts(keys(target)).send(new GetCallerIdentityCommand({})), (a) => ({ arn: a.Arn, account: a.Account }));

const s3 = new S3Client({ endpoint, region, credentials: keys(target), forcePathStyle: true, maxAttempts: 1 });
const text = async (a) => ({ body: await a.Body.transformToString(), etag: a.ETag, range: a.ContentRange, length: a.ContentLength });
const Key = "indoor-cat.jpg";
const whole = await step("get", () => s3.send(new GetObjectCommand({ Bucket, Key })), text);
await step("get-range", () => s3.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=2-4" })), text);
await step("get-if-match", () => s3.send(new GetObjectCommand({ Bucket, Key, IfMatch: whole.ETag })), text);
await step("get-if-match-other", () => s3.send(new GetObjectCommand({ Bucket, Key, IfMatch: '"0"' })), text);
await step("get-missing", () => s3.send(new GetObjectCommand({ Bucket, Key: "no-cat.jpg" })), text);
await step("head", () => s3.send(new HeadObjectCommand({ Bucket, Key })), (a) => ({ length: a.ContentLength, etag: a.ETag }));
await step("head-missing", () => s3.send(new HeadObjectCommand({ Bucket, Key: "no-cat.jpg" })), () => ({}));

// list pages through a listing, two keys at a time.
async function list(input) {
  const names = [], prefixes = [];
  let ContinuationToken, pages = 0, $metadata;
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 2, ContinuationToken, ...input }));
    names.push(...(page.Contents ?? []).map((o) => o.Key));
    prefixes.push(...(page.CommonPrefixes ?? []).map((p) => p.Prefix));
    ({ NextContinuationToken: ContinuationToken, $metadata } = page);
    pages++;
  } while (ContinuationToken);
  return { $metadata, names, prefixes, pages };
}
const listed = ({ names, prefixes, pages }) => ({ keys: names, prefixes, pages });
await step("list", () => list({}), listed);
await step("list-delimiter", () => list({ Delimiter: "/" }), listed);
await step("list-prefix", () => list({ Prefix: "dir/" }), listed);

await step("put", () => s3.send(new PutObjectCommand({ Bucket, Key: "new/a b+c.txt", Body: "purr" })), (a) => ({ etag: a.ETag }));
await step("put-read", () => s3.send(new GetObjectCommand({ Bucket, Key: "new/a b+c.txt" })), text);
await step("put-once", () => s3.send(new PutObjectCommand({ Bucket, Key: "new/a b+c.txt", Body: "hiss", IfNoneMatch: "*" })), (a) => ({ etag: a.ETag }));
