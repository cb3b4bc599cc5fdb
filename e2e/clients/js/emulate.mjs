// Builds two accounts of crossrole emulate from nothing, uploads an object in parts and
// reads it over both routes. Then it makes six mistakes, and repairs each. It prints one
// JSON object per read.
import { readFileSync } from "node:fs";
import * as iam from "@aws-sdk/client-iam";
import * as s3 from "@aws-sdk/client-s3";
import * as sts from "@aws-sdk/client-sts";

const { ENDPOINT: endpoint, TOKEN_FILE, ISSUER, SUBJECT, BUCKET: Bucket, KEY: Key } = process.env;
const settings = { endpoint, region: "us-east-1", maxAttempts: 1 };
const DEV = "111122223333", SHARED = "444455556666";
const HUB = `arn:aws:iam::${DEV}:role/hub`, TARGET = `arn:aws:iam::${SHARED}:role/S3_Pics`;
const issuer = ISSUER.replace("https://", "");
const provider = (account) => `arn:aws:iam::${account}:oidc-provider/${issuer}`;
const audience = "sts.amazonaws.com";

// admin returns the keys of an account's administrator.
async function admin(account) {
  const response = await fetch(`${endpoint}/_crossrole/accounts/${account}/environment`);
  const env = Object.fromEntries([...(await response.text()).matchAll(/^export (\w+)='(.*)'$/gm)].map((m) => [m[1], m[2]]));
  return { accessKeyId: env.AWS_ACCESS_KEY_ID, secretAccessKey: env.AWS_SECRET_ACCESS_KEY };
}
const dev = new iam.IAMClient({ ...settings, credentials: await admin(DEV) });
const shared = new iam.IAMClient({ ...settings, credentials: await admin(SHARED) });
const store = (credentials) => new s3.S3Client({ ...settings, credentials, forcePathStyle: true });

const policy = (...Statement) => JSON.stringify({ Version: "2012-10-17", Statement });
const admit = (account, subject) => ({
  Effect: "Allow", Action: "sts:AssumeRoleWithWebIdentity", Principal: { Federated: provider(account) },
  Condition: { StringEquals: { [`${issuer}:sub`]: subject, [`${issuer}:aud`]: audience } },
});
const admitHub = { Effect: "Allow", Action: "sts:AssumeRole", Principal: { AWS: HUB } };

const register = (client) => client.send(new iam.CreateOpenIDConnectProviderCommand({ Url: ISSUER, ClientIDList: [audience] }));
const trust = (...statements) => shared.send(new iam.UpdateAssumeRolePolicyCommand({ RoleName: "S3_Pics", PolicyDocument: policy(...statements) }));
const trustBoth = () => trust(admit(SHARED, SUBJECT), admitHub);
const letHubAssume = () => dev.send(new iam.PutRolePolicyCommand({
  RoleName: "hub", PolicyName: "assume", PolicyDocument: policy({ Effect: "Allow", Action: "sts:AssumeRole", Resource: TARGET }),
}));
const letTargetRead = () => shared.send(new iam.PutRolePolicyCommand({
  RoleName: "S3_Pics", PolicyName: "read", PolicyDocument: policy({ Effect: "Allow", Action: "s3:GetObject", Resource: `arn:aws:s3:::${Bucket}/*` }),
}));

// Build both accounts.
await register(dev);
await register(shared);
await dev.send(new iam.CreateRoleCommand({ RoleName: "hub", AssumeRolePolicyDocument: policy(admit(DEV, SUBJECT)) }));
await letHubAssume();
await shared.send(new iam.CreateRoleCommand({ RoleName: "S3_Pics", AssumeRolePolicyDocument: policy(admit(SHARED, SUBJECT), admitHub) }));
await letTargetRead();

// Upload in parts.
const content = Buffer.alloc(9_000_000, "meow purr\n");
const owner = store(await admin(SHARED));
await owner.send(new s3.CreateBucketCommand({ Bucket }));
const { UploadId } = await owner.send(new s3.CreateMultipartUploadCommand({ Bucket, Key }));
const Parts = [];
for (const [from, to] of [[0, 5 << 20], [5 << 20, content.length]]) {
  const PartNumber = Parts.length + 1;
  const part = await owner.send(new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: content.subarray(from, to) }));
  Parts.push({ ...part, PartNumber });
}
await owner.send(new s3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));

const keys = ({ Credentials: c }) => ({ accessKeyId: c.AccessKeyId, secretAccessKey: c.SecretAccessKey, sessionToken: c.SessionToken });

// read reads the object over a route and prints the outcome.
async function read(name, route) {
  let operation = "AssumeRoleWithWebIdentity";
  try {
    const anonymous = new sts.STSClient({ ...settings, credentials: { accessKeyId: "unused", secretAccessKey: "unused" } });
    let session = keys(await anonymous.send(new sts.AssumeRoleWithWebIdentityCommand({
      RoleArn: route === "hub" ? HUB : TARGET, RoleSessionName: "js", WebIdentityToken: readFileSync(TOKEN_FILE, "utf8"),
    })));
    if (route === "hub") {
      operation = "AssumeRole";
      const hub = new sts.STSClient({ ...settings, credentials: session });
      session = keys(await hub.send(new sts.AssumeRoleCommand({ RoleArn: TARGET, RoleSessionName: "js" })));
    }
    operation = "GetObject";
    const object = await store(session).send(new s3.GetObjectCommand({ Bucket, Key }));
    const bytes = Buffer.from(await object.Body.transformToByteArray());
    console.log(JSON.stringify({ name, body: bytes.equals(content) ? `${bytes.length} bytes` : "other bytes" }));
  } catch (e) {
    console.log(JSON.stringify({ name, operation, code: e.Code ?? e.name }));
  }
}
async function mistake(name, route, make, repair) {
  await make();
  await read(name, route);
  await repair();
  await read(`${name}, repaired`, route);
}

await read("direct", "direct");
await read("hub", "hub");
const OpenIDConnectProviderArn = provider(SHARED);
await mistake("issuer not registered", "direct",
  () => shared.send(new iam.DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn })),
  () => register(shared));
await mistake("wrong audience", "direct",
  () => shared.send(new iam.RemoveClientIDFromOpenIDConnectProviderCommand({ OpenIDConnectProviderArn, ClientID: audience })),
  () => shared.send(new iam.AddClientIDToOpenIDConnectProviderCommand({ OpenIDConnectProviderArn, ClientID: audience })));
await mistake("wrong subject", "direct", () => trust(admit(SHARED, "system:serviceaccount:default:other"), admitHub), trustBoth);
await mistake("hub not trusted", "hub", () => trust(admit(SHARED, SUBJECT)), trustBoth);
await mistake("hub lacks sts:AssumeRole", "hub",
  () => dev.send(new iam.DeleteRolePolicyCommand({ RoleName: "hub", PolicyName: "assume" })), letHubAssume);
await mistake("target lacks s3:GetObject", "hub",
  () => shared.send(new iam.DeleteRolePolicyCommand({ RoleName: "S3_Pics", PolicyName: "read" })), letTargetRead);
