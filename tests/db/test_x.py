import asyncio, pytest
from django.test import AsyncClient
from django_mirrors.testing import no_mirror
from django_mirrors.registry import mirrors
pytestmark = pytest.mark.django_db
def test_x(fleet, settings):
    async def go():
        r = await AsyncClient().get("/titles-async/", headers={"host":"books.example"})
        print(r.status_code, r.content, list(mirrors), r.asgi_request.META if hasattr(r,'asgi_request') else None)
    with no_mirror():
        asyncio.run(go())
