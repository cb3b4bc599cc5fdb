// Prints the identities of the JavaScript SDKs v2 and v3 with their default credentials,
// as one JSON object.
import AWS from "aws-sdk";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";

const { ENDPOINT: endpoint } = process.env;
const who = {};
try {
  who.v3 = (await new STSClient({ endpoint, maxAttempts: 1 }).send(new GetCallerIdentityCommand({}))).Arn;
} catch (e) {
  who.v3 = `${e.name}: ${e.message}`;
}
try {
  who.v2 = (await new AWS.STS({ endpoint, maxRetries: 0 }).getCallerIdentity().promise()).Arn;
} catch (e) {
  who.v2 = `${e.name}: ${e.message}`;
}
console.log(JSON.stringify(who));
