"""Google Cloud Storage: `bucket` asks its JSON API, `credentials` says who asks. The source itself is `objects.listing`'s."""
