from django.contrib import admin

from tests.bookshop.models import Author, Book, Tag

admin.site.register([Author, Book, Tag])
