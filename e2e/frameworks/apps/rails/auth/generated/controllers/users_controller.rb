class UsersController < ApplicationController
  allow_unauthenticated_access

  def create
    start_new_session_for User.create!(user_params)
    intilery_track "Signed Up", plan: "free"
    redirect_to root_path
  end

  private

  def user_params
    params.require(:user).permit(:email, :name, :password)
  end
end
