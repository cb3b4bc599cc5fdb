"""Builds two accounts of crossrole emulate from nothing, uploads an object in parts and
reads it over both routes. Then it makes six mistakes, and repairs each. It prints one
JSON object per read.
"""
import io
import json
import os
import re
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, TOKEN_FILE, ISSUER = os.environ["ENDPOINT"], os.environ["TOKEN_FILE"], os.environ["ISSUER"]
SUBJECT, BUCKET, KEY = os.environ["SUBJECT"], os.environ["BUCKET"], os.environ["KEY"]
DEV, SHARED = "111122223333", "444455556666"
HUB, TARGET = f"arn:aws:iam::{DEV}:role/hub", f"arn:aws:iam::{SHARED}:role/S3_Pics"
issuer = ISSUER.removeprefix("https://")
provider = f"arn:aws:iam::{SHARED}:oidc-provider/{issuer}"
audience = "sts.amazonaws.com"


def admin(account):
    """Returns a session with the keys of an account's administrator."""
    with urllib.request.urlopen(f"{ENDPOINT}/_crossrole/accounts/{account}/environment") as response:
        env = dict(re.findall(r"^export (\w+)='(.*)'$", response.read().decode(), re.MULTILINE))
    return boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")


def assumed(response):
    keys = response["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def admit(account, subject):
    return {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{issuer}"},
        "Condition": {"StringEquals": {f"{issuer}:sub": subject, f"{issuer}:aud": audience}},
    }


admit_hub = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": HUB}}
owner = admin(SHARED)
dev, shared = admin(DEV).client("iam", endpoint_url=ENDPOINT), owner.client("iam", endpoint_url=ENDPOINT)


def register(iam):
    # Versions from before April 2024 require a thumbprint.
    iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=[audience], ThumbprintList=["0" * 40])


def trust(*statements):
    shared.update_assume_role_policy(RoleName="S3_Pics", PolicyDocument=policy(*statements))


def trust_both():
    trust(admit(SHARED, SUBJECT), admit_hub)


def let_hub_assume():
    dev.put_role_policy(RoleName="hub", PolicyName="assume", PolicyDocument=policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": TARGET}))


def let_target_read():
    shared.put_role_policy(RoleName="S3_Pics", PolicyName="read", PolicyDocument=policy(
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}))


# Build both accounts.
register(dev)
register(shared)
dev.create_role(RoleName="hub", AssumeRolePolicyDocument=policy(admit(DEV, SUBJECT)))
let_hub_assume()
shared.create_role(RoleName="S3_Pics", AssumeRolePolicyDocument=policy(admit(SHARED, SUBJECT), admit_hub))
let_target_read()

# Upload in parts.
content = b"meow purr\n" * 900_000
store = owner.client("s3", endpoint_url=ENDPOINT)
store.create_bucket(Bucket=BUCKET)
store.upload_fileobj(io.BytesIO(content), BUCKET, KEY, Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))


def read(name, route):
    """Reads the object over a route and prints the outcome."""
    try:
        with open(TOKEN_FILE) as file:
            token = file.read()
        anonymous = boto3.client("sts", endpoint_url=ENDPOINT, config=Config(signature_version=UNSIGNED))
        session = assumed(anonymous.assume_role_with_web_identity(
            RoleArn=HUB if route == "hub" else TARGET, RoleSessionName="boto3", WebIdentityToken=token))
        if route == "hub":
            session = assumed(session.client("sts", endpoint_url=ENDPOINT).assume_role(
                RoleArn=TARGET, RoleSessionName="boto3"))
        body = session.client("s3", endpoint_url=ENDPOINT).get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        outcome = {"body": f"{len(body)} bytes" if body == content else "other bytes"}
    except ClientError as e:
        outcome = {"operation": e.operation_name, "code": e.response["Error"]["Code"]}
    print(json.dumps({"name": name, **outcome}))


def mistake(name, route, make, repair):
    make()
    read(name, route)
    repair()
    read(f"{name}, repaired", route)


read("direct", "direct")
read("hub", "hub")
mistake("issuer not registered", "direct",
        lambda: shared.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider),
        lambda: register(shared))
mistake("wrong audience", "direct",
        lambda: shared.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=provider, ClientID=audience),
        lambda: shared.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=provider, ClientID=audience))
mistake("wrong subject", "direct",
        lambda: trust(admit(SHARED, "system:serviceaccount:default:other"), admit_hub), trust_both)
mistake("hub not trusted", "hub", lambda: trust(admit(SHARED, SUBJECT)), trust_both)
mistake("hub lacks sts:AssumeRole", "hub",
        lambda: dev.delete_role_policy(RoleName="hub", PolicyName="assume"), let_hub_assume)
mistake("target lacks s3:GetObject", "hub",
        lambda: shared.delete_role_policy(RoleName="S3_Pics", PolicyName="read"), let_target_read)
