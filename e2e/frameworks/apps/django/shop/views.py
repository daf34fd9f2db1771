import json

from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.forms import ModelForm
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST
from django.views.generic import CreateView, TemplateView

from shop import intilery


class SignUpForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        fields = ["username", "email", "first_name", "last_name"]


class Profile(ModelForm):
    class Meta:
        model = get_user_model()
        fields = ["first_name", "last_name"]


def home(request):
    response = render(request, "shop/home.html")
    intilery.page(response, "Home")
    return response


class ProductView(TemplateView):
    template_name = "shop/page.html"
    extra_context = {"title": "Product"}

    def render_to_response(self, context, **kwargs):
        response = super().render_to_response(context, **kwargs)
        intilery.page(response, "Product", sku=self.kwargs["sku"])
        return response


@cache_control(public=True, max_age=600)
def prices(request):
    return render(request, "shop/page.html", {"title": "Prices"})


class SignUpView(CreateView):
    form_class = SignUpForm
    template_name = "shop/form.html"
    success_url = "/"

    def form_valid(self, form):
        response = super().form_valid(form)  # saves the user
        login(self.request, self.object)
        intilery.track(self.request, "Signed Up", plan="free")
        return response


@login_required
def profile(request):
    form = Profile(request.POST or None, instance=request.user)
    if not form.is_valid():
        return render(request, "shop/form.html", {"form": form})
    form.save()
    return redirect("/")


@require_POST
def order(request):
    intilery.track(request, "Order Completed", total=38, currency="GBP")
    intilery.track(request, "Coupon Used", code="TEA10")
    return redirect("/")


async def newsletter(request):
    intilery.track(request, "Newsletter Subscribed", list=json.loads(request.body)["list"])
    return JsonResponse({"subscribed": True})


@require_POST
def set_consent(request):
    response = redirect("/")
    intilery.consent(response, request.POST["choice"] == "yes")
    return response
