"""News of a job reaches those who wait for it, and nobody waits for a gateway that leaves."""

import asyncio

from shoal.serverless.gateway.following import Following
from shoal.serverless.store import jobs
from tests.serverless.making import account, submit, upload


def test_who_listens_before_a_change_hears_of_it_and_of_no_other_job(store):
    user = account(store)
    upload(store, user)
    mine, other = submit(store, user), submit(store, user)
    changed = []

    async def wait():
        following = Following(store, changed.append)
        with following.of(mine.id) as news, following.of(other.id) as silence:
            await asyncio.to_thread(store.write, jobs.request_stop, user, mine.id)
            assert await news.wait(60)
            assert not await silence.wait(0)
        assert following._listeners == {}
        following.close()

    asyncio.run(wait())
    assert frozenset({mine.id}) in changed


def test_many_may_wait_for_the_same_job(store):
    user = account(store)
    upload(store, user)
    job = submit(store, user)

    async def wait():
        following = Following(store, lambda changed: None)

        async def one():
            with following.of(job.id) as news:
                return await news.wait(60)

        waiting = [asyncio.create_task(one()) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(store.write, jobs.request_stop, user, job.id)
        found = await asyncio.gather(*waiting)
        following.close()
        return found

    assert asyncio.run(wait()) == [True] * 50


def test_when_the_gateway_leaves_everybody_goes_on_and_nobody_waits_again(store):
    async def wait():
        following = Following(store, lambda changed: None)
        with following.of("j") as news:
            waiting = asyncio.create_task(news.wait(600))
            await asyncio.sleep(0)
            following.close()
            await waiting
            assert not await news.wait(600)

    asyncio.run(wait())
