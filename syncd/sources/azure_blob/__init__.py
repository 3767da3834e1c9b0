"""Azure Blob Storage: `container` asks its REST API, `credentials` signs requests. The source itself is `objects.listing`'s."""
