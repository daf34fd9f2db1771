from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from shop import views

urlpatterns = [
    path("", views.home),
    path("products/<slug:sku>", views.ProductView.as_view()),
    path("prices", views.prices),
    path("sign-up", views.SignUpView.as_view()),
    path("sign-in", LoginView.as_view(template_name="shop/form.html")),
    path("logout", LogoutView.as_view()),
    path("profile", views.profile),
    path("order", views.order),
    path("newsletter", views.newsletter),
    path("consent", views.set_consent),
    path("admin/", admin.site.urls),
]
