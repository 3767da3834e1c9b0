"""A child that answers nobody who is to meet others before there are three of them."""

import asyncio

from syncd.errors import PermanentError
from syncd.runtime.child import open_channel
from syncd.runtime.child_tasks import serve_at_once
from syncd.runtime.frames import Frame


async def main():
    meeting = asyncio.Barrier(3)

    async def handle(request):
        if request.header["op"] == "refuse":
            raise PermanentError("not today")
        await meeting.wait()
        return Frame({"number": request.header["number"]}, request.payload)

    await serve_at_once(open_channel(), handle)


if __name__ == "__main__":
    asyncio.run(main())
